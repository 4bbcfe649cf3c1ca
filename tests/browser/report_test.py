# SPDX-License-Identifier: MIT
"""How the report behaves in a browser: report_test.py PARHOST FOLDER. tests/spec/report_browser_spec.lua runs it."""
import json
import math
import subprocess
import sys

from harness import findings, main, same, test

PARHOST, FOLDER = sys.argv[1:3]


# --- traces -----------------------------------------------------------------------------------------------------------

def meta(event, pid=1, **args):
    return {"ph": "M", "ts": 0, "name": event, "pid": pid, "tid": pid, "args": args}


FIRST = meta("parhost", version="0.1.0", script="demo.lua", argv=["demo.lua"], cpus=2, start=1790000000)


def last(wall):
    return meta("parhost_end", exit_code=0, wall=wall, cpu=wall)


def task(ts, dur, worker=1, name="f", **args):
    return {"ph": "X", "cat": "task", "ts": ts, "dur": dur, "name": name, "pid": 10 + worker, "tid": 10 + worker,
            "args": {"pool": "p", "worker": worker, "id": 1, "fn": "demo.lua:1", "wait": 5, "state": "done", **args}}


def submit(number, name):
    return {"ph": "s", "cat": "submit", "id": number, "ts": 50, "pid": 1, "tid": 1, "name": name, "args": {"pool": "p", "task": number}}


def span(category, ident, begin, end, name="t", **args):
    where = {"cat": category, "id": ident, "name": name, "pid": 1, "tid": 1}
    return [{"ph": "b", "ts": begin, **where, "args": {}}, {"ph": "e", "ts": end, **where, "args": {"state": "done", **args}}]


def write_trace(name, events, end="\n]\n", complete=True):
    """A trace file; gives the path of its report."""
    path = "%s/%s.json" % (FOLDER, name)
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write("[\n" + ",\n".join(e if isinstance(e, str) else json.dumps(e) for e in [FIRST, *events]))
        file.write((",\n" + json.dumps(last(events[-1]["ts"])) if complete else "") + end)
    return make_report(name)


def make_report(name):
    base = "%s/%s" % (FOLDER, name)
    subprocess.run([PARHOST, "report", base + ".json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return "file://" + base + ".html"


def busy(n, workers=2, length=1000):
    """n tasks of which all workers have one after the other."""
    return [task(100 + (i // workers) * length, length - 10, 1 + i % workers, name="f%d" % (i % 3), fn="demo.lua:%d" % (i % 3))
            for i in range(n)]


def run_slow(name):
    trace = "%s/%s.json" % (FOLDER, name)
    subprocess.run([PARHOST, "--trace", trace, "tests/slow/%s.lua" % name], check=True, stdout=subprocess.DEVNULL)
    return make_report(name)


# --- looking ----------------------------------------------------------------------------------------------------------

def opened(browser, url, **options):
    page = browser.open(url, **options)
    page.ready()
    return page


def ranges(page):
    """What each panel shows, as a set of [from, to]."""
    return set(map(tuple, page.evaluate(
        "[...document.querySelectorAll('.panel:not([hidden])')].map((p) => [Number(p.dataset.from), Number(p.dataset.to)])")))


def only_range(page):
    page.frames(3)
    found = ranges(page)
    assert len(found) == 1, found
    return found.pop()


# --- tests ------------------------------------------------------------------------------------------------------------

def names_cause(browser, program, cause, *words):
    page = opened(browser, run_slow(program))
    found = findings(page)
    same(set(found), {cause})
    for word in words:
        assert word in found[cause], found[cause]
    same(page.problems, [])


@test
def names_too_small_tasks(browser):
    names_cause(browser, "too_small_tasks", "hand-over", 'chunk_size = "auto"')


@test
def names_the_long_tail(browser):
    names_cause(browser, "long_tail", "long-tail", "'render' (tests/slow/long_tail.lua:8)", "1 other worker")


@test
def names_the_step_that_blocked_the_loop(browser):
    names_cause(browser, "blocked_loop", "blocked-loop", "'housekeeping'", "tests/slow/blocked_loop.lua:1")


@test
def names_a_tail_of_several_workers(browser):
    events = busy(80, workers=4, length=10000) + [task(200100, 90000, 1, "long"), task(200100, 100000, 2, "longer")]
    found = findings(opened(browser, write_trace("tail", events)))
    same(list(found), ["long-tail"])
    assert "'longer'" in found["long-tail"] and "ran 100 ms " in found["long-tail"] and "2 other workers" in found["long-tail"], found


@test
def names_workers_that_starve(browser):
    events = [task(1000 + i * 50000, 10000, 1 + i % 2, wait=1) for i in range(20)]
    found = findings(opened(browser, write_trace("idle", events)))
    same(list(found), ["idle-workers"])
    assert "submits too slowly" in found["idle-workers"], found


@test
def has_nothing_to_say_of_a_good_run(browser):
    page = opened(browser, write_trace("good", busy(100)))
    same(list(findings(page)), ["fine"])
    same(page.evaluate("document.title"), "demo.lua – parhost")
    same(page.evaluate("document.querySelector('#facts').textContent.includes('99 % busy')"), True)


@test
def shows_evil_names_as_text(browser):
    evil = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\u2028<!--${1}`"
    odd = ["__proto__", "constructor", "toString", "hasOwnProperty", "{js}", "%1", "a\u0000b\ud800", ""]
    events = [task(100 + i, 1, 1, name, state="failed", error=name, traceback=name, fn=name, submitted=name, pool=name)
              for i, name in enumerate([evil, *odd])]
    events += span("http", evil, 100, 120, evil, url="javascript:alert(1)", error=evil, status=evil, dns="x")
    events += span("__proto__", "a", 100, 120) + span("async", {"toString": 1}, 100, 130, state="constructor")
    events += [{"ph": "C", "ts": 130, "name": "__proto__", "args": {"__proto__": 1, "queued": "x"}}, {"ph": "X"},
               {"ph": "X", "cat": "task", "ts": 131, "dur": "x", "pid": {}, "tid": {"toString": 1}, "name": {"a": evil}, "args": []},
               meta("process_name", pid=11, name=evil), meta("thread_name", pid=11, name=evil),
               {"ph": "i", "cat": "worker", "name": "exit", "ts": 140, "args": {"signal": {"toString": 1}, "pool": evil}}]
    page = opened(browser, write_trace("evil", events))
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    for key in ("Tab", "f", "f"):
        page.key(key)
    page.frames(3)
    same(page.evaluate("[window.hacked ?? null, document.querySelectorAll('main img, main script, main a').length]"), [None, 0])
    same(page.evaluate("[...document.querySelectorAll('#failed strong')].some((e) => e.textContent === %s)" % json.dumps(evil)), True)
    same(page.problems, [])
    same(len(page.requests), 1)


@test
def a_script_without_the_number_does_not_run(browser):
    url = write_trace("nonce", busy(4))
    path = url[len("file://"):]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("<header>", "<header><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"))
    page = opened(browser, url)
    same(page.evaluate("window.hacked ?? null"), None)


@test
def all_panels_keep_step(browser):
    events = busy(200) + span("http", "1", 100, 5000) + span("async", "2", 200, 6000) + span("process", "3", 300, 7000)
    page = opened(browser, write_trace("step", sorted(events, key=lambda e: e["ts"])))
    same(page.evaluate("document.querySelectorAll('.panel:not([hidden])').length"), 6)
    start, end = only_range(page)
    same(start, 0)
    page.key("+")
    page.key("+")
    low, high = only_range(page)
    assert math.isclose(high - low, (end - start) / 4, rel_tol=1e-6), (low, high)
    page.key("ArrowRight")
    assert only_range(page)[0] > low
    page.key("Home")
    same(only_range(page)[0], 0)
    page.key("End")
    same(only_range(page)[1], end)
    page.key("-")
    assert only_range(page)[1] - only_range(page)[0] > high - low
    page.key("0")
    same(only_range(page), (start, end))
    for _ in range(80):
        page.key("+")
    low, high = only_range(page)
    assert 0.9 < high - low < 1.1, (low, high)
    same(page.problems, [])


@test
def the_pointer_zooms_and_selects(browser):
    page = opened(browser, write_trace("pointer", busy(20)))
    box = page.evaluate("(() => { const b = document.querySelector('canvas').getBoundingClientRect(); return [b.x, b.y, b.width]; })()")
    start, end = only_range(page)
    y = box[1] + 46  # below the axis and the main loop
    page.mouse("mousePressed", box[0] + 300, y)
    page.mouse("mouseMoved", box[0] + 600, y)
    page.mouse("mouseReleased", box[0] + 600, y)
    low, high = only_range(page)
    assert start < low < high < end and math.isclose((high - low) / (end - start), 300 / (box[2] - 140), rel_tol=0.02), (low, high)
    page.mouse("mousePressed", box[0] + 400, y)
    page.mouse("mouseReleased", box[0] + 400, y)
    page.frames(2)
    assert page.text("#detail h3").startswith("f"), page.text("#detail")
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=box[0] + 400, y=y, deltaX=0, deltaY=100, modifiers=2)
    assert only_range(page)[1] - only_range(page)[0] > high - low
    page.mouse("mousePressed", box[0] + 400, y)
    page.mouse("mouseReleased", box[0] + 400, y)
    page.call("Input.dispatchMouseEvent", type="mousePressed", x=box[0] + 400, y=y, button="left", clickCount=2)
    page.call("Input.dispatchMouseEvent", type="mouseReleased", x=box[0] + 400, y=y, button="left", clickCount=2)
    same(only_range(page), (start, end))


@test
def the_keyboard_goes_from_task_to_task(browser):
    page = opened(browser, write_trace("keys", busy(4)))
    page.evaluate("document.querySelector('canvas').focus()")
    page.key("Tab")  # not inside: on to the next panel
    same(page.evaluate("document.activeElement.tagName !== 'CANVAS'"), True)
    page.evaluate("document.querySelector('canvas').focus()")
    selected = lambda: page.text("#detail dl")
    page.key("Enter")
    first = selected()
    assert "start100 µs" in first and "p/1" in first, first
    page.key("Tab")
    assert "start1.1 ms" in selected(), selected()
    page.key("ArrowDown")
    assert "p/2" in selected() and "start1.1 ms" in selected(), selected()
    page.key("Tab", shift=True)
    assert "start100 µs" in selected(), selected()
    page.key("ArrowUp")
    same(selected(), first)
    page.key("Escape")
    same(page.evaluate("document.querySelector('#detail').hidden"), True)
    page.key("Tab")
    same(page.evaluate("document.activeElement.tagName !== 'CANVAS'"), True)
    page.evaluate("document.querySelector('canvas').focus()")
    page.key("Enter")
    for _ in range(3):
        page.key("Tab")
    assert "p/2" in selected(), selected()
    page.key("Tab")  # behind the last: Tab is the browser's again
    same(page.evaluate("document.activeElement.tagName !== 'CANVAS'"), True)


@test
def a_killed_run_is_told_as_such(browser):
    events = busy(3) + [submit(7, "finished"), submit(8, "never ran"), submit(9, "unfinished"), task(5000, 10, 1, id=7),
                        {"ph": "i", "cat": "task", "ts": 5000, "pid": 1, "tid": 1, "name": "x", "args": {"pool": "p", "id": 8}},
                        {"ph": "b", "cat": "async", "id": 1, "ts": 200, "pid": 1, "tid": 1, "name": "sleeper", "args": {}}]
    page = opened(browser, write_trace("killed", events, end=',\n{"ph":"X","cat":"ta', complete=False))
    found = findings(page)
    assert {"no-end", "torn"} <= set(found), found
    assert "1 task of pools had been submitted and had not, the first of them 'unfinished'" in found["no-end"], found
    same(page.evaluate("[...document.querySelectorAll('#all tbody tr')].some((tr) => /sleeper.*running/.test(tr.textContent))"), True)
    same(page.problems, [])


@test
def a_hundred_thousand_tasks_are_drawn_by_the_pixel(browser):
    page = opened(browser, write_trace("many", busy(100000)))
    page.evaluate("""(() => { window.drawn = 0; const fill = CanvasRenderingContext2D.prototype.fillRect;
        CanvasRenderingContext2D.prototype.fillRect = function (...a) { window.drawn++; fill.apply(this, a); }; })()""")
    counts = []
    for key in ("+", "0", "ArrowRight", "+", "+", "+"):
        page.evaluate("window.drawn = 0")
        page.key(key)
        page.frames(3)
        counts.append(page.evaluate("window.drawn"))
    assert all(10 < n < 10000 for n in counts), counts
    same(page.problems, [])


@test
def tables_are_tables(browser):
    page = opened(browser, write_trace("table", busy(120) + [task(90000, 7, 1, "odd")]))
    same(page.evaluate("[...document.querySelectorAll('table:not(.u-legend)')].every((t) => t.caption && t.querySelector('th[scope=col]'))"), True)
    same(page.text("#page"), "page 1 of 3, 121 rows")
    page.evaluate("document.querySelector('#next').click()")
    same(page.text("#page"), "page 2 of 3, 121 rows")
    ran = "#all thead th:nth-child(6)"
    same(page.evaluate("document.querySelector('%s').getAttribute('aria-sort')" % ran), "descending")
    page.evaluate("document.querySelector('%s button').focus()" % ran)
    page.key("Enter")
    same(page.evaluate("document.querySelector('%s').getAttribute('aria-sort')" % ran), "ascending")
    same(page.text("#all tbody tr th"), "odd")
    same(page.evaluate("document.activeElement.textContent"), "ran")
    page.evaluate("(() => { const s = document.querySelector('#state'); s.value = '1'; s.dispatchEvent(new Event('change')); })()")
    same(page.text("#page"), "page 1 of 1, 0 rows")
    named = "[...document.querySelectorAll('canvas[tabindex], button, select')].every((e) => e.getAttribute('aria-label') || e.textContent || e.labels?.length)"
    same(page.evaluate(named), True)


@test
def the_tables_follow_the_view(browser):
    page = opened(browser, write_trace("follow", busy(120)))
    for _ in range(4):
        page.key("+")
    page.wait("document.querySelector('#page').textContent.startsWith('page 1 of 1, ')")


@test
def failures_have_their_traceback(browser):
    events = busy(10) + [task(8000, 5, 1, "bad", state="failed", error="demo.lua:7: oops", traceback="stack traceback:\n\tdemo.lua:7: in bad")]
    page = opened(browser, write_trace("failed", events))
    assert "demo.lua:7: oops" in findings(page)["failed"]
    assert "demo.lua:7: in bad" in page.text("#failed pre")
    page.key("f")
    page.frames(2)
    assert "failed" in page.text("#detail"), page.text("#detail")
    low, high = only_range(page)
    assert low <= 8000 and high >= 8005 and high - low < 100, (low, high)


@test
def fits_small_and_large_windows_in_light_and_dark(browser):
    url = write_trace("fits", busy(50) + span("http", "1", 50000, 60000, name="GET " + "x" * 300, url="http://x/" + "y" * 300))
    for width in (400, 1280):
        for dark in (False, True):
            page = opened(browser, url, width=width, dark=dark)
            same(page.evaluate("document.documentElement.scrollWidth"), width)
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            same(int(background.split("(")[1].split(",")[0]) < 128, dark)
            page.evaluate("document.querySelector('#help').open = true")
            same(page.evaluate("document.documentElement.scrollWidth"), width)
            same(page.problems, [])


@test
def colours_have_contrast(browser):
    url = write_trace("contrast", busy(4))
    for dark in (False, True):
        page = opened(browser, url, dark=dark)
        get = lambda name: page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--%s').trim()" % name)
        for ground in ("page", "panel"):
            for text in ("text", "muted", "link", "bad", "warn", "good"):
                assert contrast(get(text), get(ground)) >= 4.5, (text, ground, dark)
            for color in ["series-%d" % i for i in range(1, 9)] + ["step", "cancelled"]:
                assert contrast(get(color), get(ground)) >= 2.5, (color, ground, dark)


def contrast(a, b):
    def luminance(color):
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


main()
