#!/usr/bin/env python3
"""Reports, of lathe data card and of lathe report, in a browser: on a screen, a phone and in the dark; whether it asks for anything, runs out of its page, or has links that lead nowhere.

Usage: tools/check_report.py [REPORT.html] [--shots FOLDER]
Without a file it makes those of tests/golden/card and tests/golden/report.  One line for each check; exit 1 when one fails, 77 where chromium is missing."""
import argparse, os, subprocess, sys, tempfile
from browser import Browser, Failed, find

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def checks(b, path, shots):
    yield "the page opens", b.js("document.querySelectorAll('h1').length") == 1, b.js("document.title")
    yield "each link leads to a part of the page", b.js("[...document.querySelectorAll('a')].every(a => a.hash.length > 1 && document.getElementById(a.hash.slice(1)))"), ""
    yield "no id stands twice", b.js("[...document.querySelectorAll('[id]')].every((e, i, all) => all.findIndex(o => o.id == e.id) == i)"), ""
    yield "every picture has a name", b.js("[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label'))"), ""
    for folded in (True, False):
        if not folded:
            b.js("document.querySelectorAll('details').forEach(d => d.open = true)")
        for width in (1280, 800, 360):
            b.size(width, 900)
            wide = b.js("document.documentElement.scrollWidth")
            yield f"nothing runs out of {width} pixels, {'folded' if folded else 'unfolded'}", wide <= width, wide
            if shots:
                b.size(width, min(6000, b.js("document.documentElement.scrollHeight")))
                b.shot(f"{shots}/{width}-{'folded' if folded else 'unfolded'}.png")
    colours = []
    for scheme in ("light", "dark"):
        b.prefer(prefers_color_scheme=scheme)
        colours.append(b.js("getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color"))
        if shots:
            b.size(1280, 2000)
            b.shot(f"{shots}/{scheme}.png")
    yield "light and dark differ", colours[0] != colours[1], colours
    yield "nothing was asked from elsewhere", all(a[1] == "file://" + path for a in b.asked), [a[1] for a in b.asked]
    yield "the browser had nothing to complain about", not b.said, b.said


def look_at(path, shots):
    """How many checks passed and failed."""
    n = bad = 0
    b = Browser()
    try:
        b.go("file://" + path)
        for name, true, found in checks(b, path, shots):
            n, bad = n + 1, bad + (not true)
            print("ok    " if true else "FAILED", name, "" if true else f"found {found}")
    except Failed as e:
        n, bad = n + 1, bad + 1
        print("FAILED", e)
    finally:
        b.close()
    return n - bad, bad


def made(folder):
    """The page of each kind, from what the tests have."""
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([ROOT + "/lathe", "data", "card", ROOT + "/tests/golden/card/report.json", "--out", folder, "--created", "2026-11-26"], **quiet)
    subprocess.run([ROOT + "/lathe", "report", ROOT + "/tests/golden/report", "--out", folder + "/evaluations.html"], **quiet)
    return [os.path.realpath(folder + "/" + name) for name in ("report.html", "evaluations.html")]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("report", nargs="?"), p.add_argument("--shots")
    o = p.parse_args()
    if not find():
        print("SKIPPED: there is no chromium here (tools/deps page)")
        return 77
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in [os.path.abspath(o.report)] if o.report else made(folder):
            print(os.path.basename(path))
            shots = o.shots and os.path.join(o.shots, "" if o.report else os.path.basename(path)[:-5])
            if shots:
                os.makedirs(shots, exist_ok=True)
            counts = look_at(path, shots)
            passed, failed = passed + counts[0], failed + counts[1]
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
