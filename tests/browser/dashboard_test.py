# SPDX-License-Identifier: MIT
"""The live dashboard: dashboard_test.py PARHOST FOLDER. tests/spec/dashboard_browser_spec.lua runs it. The programs do one
step for each line on their standard input, so that nothing depends on time."""
import json
import os
import re
import signal
import subprocess
import sys

from harness import findings, main, same, test

PARHOST, FOLDER = sys.argv[1:3]

PROGRAM = """
local proc_pool = require "proc_pool"
local pool <close> = proc_pool.new(1)
local function named(name) if name == "bad" then error("this is bad") end end
local function forever() while true do end end
for line in io.lines() do
  if line == "forever" then pool:submit(forever)
  elseif line == "error" then error("the program fails")
  else pool:with { name = line }:submit(named, line):outcome() end
end
"""


class Run:
    """A program with a dashboard."""

    def __init__(self, *options):
        script = FOLDER + "/program.lua"
        with open(script, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        self.process = subprocess.Popen([PARHOST, *options, "--dashboard", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True, start_new_session=True)
        line = self.process.stderr.readline()
        self.url = re.search(r"parhost: dashboard: (http://127\.0\.0\.1:\d+/[0-9a-f]{32}/)\n", line).group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stderr.close()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(20)


def opened(browser, run):
    page = browser.open(run.url)
    page.wait("document.querySelector('#status')?.textContent === 'live'")
    return page


def wait_for_row(page, name):
    page.wait("[...document.querySelectorAll('#all tbody th')].some((th) => th.textContent === %s)" % json.dumps(name))


@test
def shows_tasks_while_the_program_runs(browser):
    with Run() as run:
        page = opened(browser, run)
        run.say("one")
        wait_for_row(page, "one")
        run.say("two")
        wait_for_row(page, "two")
        same(page.evaluate("document.querySelector('main').hidden"), False)
        same(run.process.poll(), None)
        same(page.problems, [])
        same({url.rsplit("/", 1)[1] for url in page.requests}, {"", "events"})


@test
def a_second_page_has_everything_too(browser):
    with Run() as run:
        first = opened(browser, run)
        run.say("one")
        wait_for_row(first, "one")
        second = opened(browser, run)
        wait_for_row(second, "one")


@test
def keeps_its_state_when_the_program_has_ended(browser):
    with Run() as run:
        page = opened(browser, run)
        run.say("one")
        wait_for_row(page, "one")
        run.say("bad")
        wait_for_row(page, "bad")
        same(run.end(), 0)
        page.wait("document.querySelector('#status').textContent === 'the program has ended (exit code 0)'")
        wait_for_row(page, "one")
        found = findings(page)
        assert "this is bad" in found["failed"] and "no-end" not in found, found
        page.key("+")  # still alive
        page.frames(3)
        same(page.problems, [])


@test
def tells_of_a_program_that_failed(browser):
    with Run() as run:
        page = opened(browser, run)
        run.say("error")
        same(run.process.wait(20), 1)
        page.wait("document.querySelector('#status').textContent === 'the program has ended (exit code 1)'")


@test
def tells_of_a_program_that_was_killed(browser):
    with Run() as run:
        page = opened(browser, run)
        run.say("one")
        run.say("forever")
        wait_for_row(page, "one")
        page.wait("performance.now() > 0")
        os.kill(run.process.pid, signal.SIGKILL)
        page.wait("document.querySelector('#status').textContent === 'the program was killed'")
        wait_for_row(page, "one")
        assert "no-end" in findings(page)


@test
def writes_the_same_trace_to_a_file(browser):
    trace = FOLDER + "/live.json"
    with Run("--trace", trace) as run:
        page = opened(browser, run)
        run.say("one")
        wait_for_row(page, "one")
        same(run.end(), 0)
    with open(trace, encoding="utf-8") as file:
        names = [event["name"] for event in json.load(file) if event.get("cat") == "task"]
    same(names, ["one"])


@test
def follows_the_run_unless_told_otherwise(browser):
    shown = "JSON.stringify([document.querySelector('.panel').dataset.from, document.querySelector('.panel').dataset.to])"
    with Run() as run:
        page = opened(browser, run)
        run.say("one")
        wait_for_row(page, "one")
        page.frames(3)
        before = page.evaluate(shown)
        run.say("two")
        page.wait("%s !== %s" % (shown, json.dumps(before)))
        page.key("+")
        page.frames(3)
        held = page.evaluate(shown)
        run.say("three")
        run.say("four")
        page.wait("Number(document.querySelector('.panel').dataset.end) > %s" % json.loads(before)[1])
        same(page.evaluate(shown), held)


main()
