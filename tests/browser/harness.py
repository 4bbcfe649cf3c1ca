# SPDX-License-Identifier: MIT
"""Tests of a script: each is a function behind @test that takes the browser. main() runs them and prints "ok NAME" or
"not ok NAME: why" for each; tests/spec/support/browser.lua makes tests of busted of these lines."""
import traceback

from browser import Browser

tests = []


def test(function):
    tests.append(function)
    return function


def same(a, b):
    assert a == b, "%.300r, expected %.300r" % (a, b)


def findings(page):
    return dict(page.evaluate("[...document.querySelectorAll('#findings li')].map((li) => [li.dataset.kind, li.textContent])"))


def main():
    with Browser() as browser:
        for function in tests:
            try:
                function(browser)
                print("ok", function.__name__, flush=True)
            except Exception:  # one test's failure is its own
                lines = traceback.format_exc().strip().split("\n")
                print("not ok %s: %s" % (function.__name__, " | ".join(lines[-5:])), flush=True)
