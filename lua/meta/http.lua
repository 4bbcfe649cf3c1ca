---@meta http
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---HTTP requests, through libcurl. See docs/http.md.
local http = {}

---Stands for JSON's null.
http.null = {}

---@alias http.Fields table<string, string|number|boolean|table>|{ [1]: string, [2]: any }[]

---What a session can say for all of its requests.
---@class http.CommonOptions
---@field headers? table<string, string|number|false|string[]>
---@field timeout? number seconds for the whole exchange; nil: no limit
---@field connect_timeout? number seconds until connected (default 300)
---@field low_speed? { [1]: integer, [2]: number } bytes a second, for so many seconds
---@field follow? boolean follow redirects (default true)
---@field max_redirects? integer default 20
---@field auth? { [1]: string, [2]: string, digest: boolean? }|{ bearer: string }
---@field proxy? string|false
---@field verify? boolean check who the server is (default true)
---@field ca? string path of certificates to trust, or PEM text
---@field cert? string|{ cert: string, key: string?, password: string? }
---@field http_version? "1.0"|"1.1"|"2"|"2-prior-knowledge"
---@field max_body? integer bytes
---@field protocols? string[] default { "http", "https" }

---@class http.Options: http.CommonOptions
---@field params? http.Fields|string added to the query
---@field body? string
---@field json? any
---@field form? http.Fields
---@field sink? string|file*|fun(chunk: string) takes the body
---@field on_progress? fun(received: integer, to_receive: integer?, sent: integer, to_send: integer?)
---@field stream? boolean give the response when its head is there (default false)

---@class http.Request: http.Options
---@field method? string default "GET"
---@field url string

---@class http.Headers: { [string]: string }
local Headers = {}

---All values of a header, in the order sent.
---@param name string in any case
---@return string[]
function Headers:all(name) end

---@class http.Response
---@field status integer
---@field reason string
---@field headers http.Headers
---@field body? string nil with sink or stream
---@field url string
---@field history http.Response[]
---@field http_version string
---@field elapsed number seconds
---@field timings { resolved: number, connected: number, secured: number, sent: number, first_byte: number, total: number }
local Response = {}

---The body as a Lua value. Raises kind `http`, code `json` with `line` and `column`.
---@return any
function Response:json() end

---Raises kind `http`, code `status` for a status of 400 and more.
---@return http.Response self
function Response:raise_for_status() end

---With stream: `for chunk in response:chunks() do`. Leaving the loop ends the transfer. A cancellation point.
---@return fun(): string?
function Response:chunks() end

---With stream: the rest of the body. A cancellation point.
---@return string
function Response:read() end

---Ends a transfer that is still coming in.
function Response:close() end

---@class http.SessionOptions: http.CommonOptions
---@field max_connections? integer
---@field max_per_host? integer
---@field cookies? boolean keep cookies (default true)

---@class http.Session
local Session = {}

---@param url string
---@param options? http.Options
---@return http.Response
function Session:get(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function Session:post(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function Session:put(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function Session:patch(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function Session:delete(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function Session:head(url, options) end

---@param request http.Request
---@return http.Response
function Session:request(request) end

---@return { name: string, value: string, domain: string, path: string, secure: boolean, http_only: boolean, expires: integer? }[]
function Session:cookies() end

---Closes its connections; what is under way fails.
function Session:close() end

---Any status is a result; a failure of the transfer raises kind `http` with `code`, `url`, `curl`. A cancellation point.
---@param url string
---@param options? http.Options
---@return http.Response
function http.get(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function http.post(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function http.put(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function http.patch(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function http.delete(url, options) end

---@param url string
---@param options? http.Options
---@return http.Response
function http.head(url, options) end

---@param request http.Request
---@return http.Response
function http.request(request) end

---Keeps connections, cookies and defaults.
---@param options? http.SessionOptions
---@return http.Session
function http.session(options) end

---Marks a table as a JSON array, which matters when it is empty.
---@param list? table
---@return table list
function http.array(list) end

return http
