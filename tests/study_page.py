"""Clicks through the page of a listening study in Chromium, from a file and from the collector, at three widths.

Usage: study_page.py FOLDER [SCREENSHOTS]
FOLDER holds the program vmt-train. Screenshots are kept if a folder for them is named.
"""

import functools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from browser import Browser

print = functools.partial(print, flush=True)
PROGRAM = pathlib.Path(sys.argv[1]).resolve() / "vmt-train"
SHOTS = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
SKIP = "I know this song or music video. Skip!"


class Session:
    """A rater on the page."""

    def __init__(self, browser, beeps):
        self.browser, self.beeps, self.heard, self.skipped = browser, beeps, [], 0

    def heading(self):
        return self.browser.run("document.querySelector('main h1, main h2').textContent")

    def pieces(self):
        return self.browser.run("[...new Set([...document.querySelectorAll('.scale input')].map(it => it.name.slice(0, 12)))]")

    def play(self, index, by_key=False):
        button = f"section:nth-of-type({index + 1}) .play"
        if by_key:
            self.browser.run(f"document.querySelector('{button}').focus()")
            self.browser.key("Enter", text="\r")
        else:
            self.browser.click(button)
        heard = f"document.querySelectorAll('section')[{index}].classList.contains('heard')"
        self.browser.wait(heard, f"piece {index} of {self.heading()}")

    def rate(self, piece, smoothness, relevance, by_key=False):
        for name, value in [("smoothness", smoothness), ("relevance", relevance)]:
            selector = f'input[name="{piece}{name}"][value="{value}"]'
            if by_key:
                self.browser.run(f"document.querySelector('input[name=\"{piece}{name}\"]').focus()")
                self.browser.key(str(value), text=str(value))
            else:
                self.browser.click(selector)
            assert self.browser.run(f"document.querySelector('{selector}').checked"), selector

    def next(self):
        before = self.heading()
        self.browser.click("#next")
        self.browser.wait(f"document.querySelector('main h1, main h2').textContent !== {json.dumps(before)}", f"after {before}")

    def problem(self):
        return self.browser.run("document.querySelector('#problem').textContent")

    def begin(self):
        self.browser.click("#begin")
        assert "tick the box" in self.browser.run("document.querySelector('[role=alert]').textContent")
        self.browser.click("#consent")
        self.browser.click("#begin")
        self.browser.wait("!!document.querySelector('#next')", "the training example")

    def training(self, by_key=False):
        assert self.heading() == "First, an example"
        pieces = self.pieces()
        self.browser.click("#next")
        assert self.problem() == "Please play Example 1 to its end."
        assert self.browser.run("document.querySelector('section:nth-of-type(2) .play').disabled"), "the second comes after the first"
        assert self.browser.run("document.querySelector('fieldset').disabled"), "rated when it was heard"
        for index, piece in enumerate(pieces):
            self.play(index, by_key)
            self.rate(piece, 4, 4, by_key)
        self.browser.click("#next")
        assert "count its beeps again" in self.problem(), "4 is wrong"
        self.rate(pieces[1], 3, 3, by_key)
        self.next()

    def film(self, rating, by_key=False):
        pieces = self.pieces()
        is_check = pieces[0] in self.beeps
        for index, piece in enumerate(pieces):
            self.play(index, by_key)
            if is_check:
                self.rate(piece, self.beeps[piece], self.beeps[piece], by_key)
            else:
                self.rate(piece, *rating(piece), by_key)
                self.heard.append(piece)
        self.next()

    def skip(self):
        assert self.browser.run("document.querySelector('#skip').textContent") == SKIP
        self.browser.click("#skip")
        self.skipped += 1


def program(*arguments, want=0):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == want, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def films(place, count):
    """Films of two seconds with a tone, of three shapes."""
    place.mkdir()
    for number in range(count):
        size = ["320x180", "240x240", "180x320"][number % 3]
        pictures = f"testsrc2=size={size}:rate=25:duration=1.6,hue=h={number * 70}"
        sound = f"sine=frequency={220 + 110 * number}:duration=1.6"
        command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound]
        subprocess.run([*command, "-c:v", "libx264", "-pix_fmt", "yuv420p", place / f"film{number}.mp4"], check=True)
    return place


def main(place):
    films(place / "films", 3)
    for name, pitch in [("sine", 660), ("low", 110)]:
        (place / name).mkdir()
        for number in range(3):
            tone = f"sine=frequency={pitch + 40 * number}:duration=1.6"
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", tone, place / name / f"film{number}.wav"], check=True)
    systems = ["--system", "original", "--system", f"VMT={place}/sine", "--system", f"SEQ2SEQ={place}/low"]
    (place / "intro.txt").write_text("We study which music fits short films.\n\nQuestions: study@example.org")
    made = ["study", "make", str(place / "films"), *systems, "--intro", str(place / "intro.txt")]
    program(*made, "-o", str(place / "study"))
    key = json.loads((place / "study.key.json").read_text())
    page = (place / "study/index.html").read_text()
    for secret in ["SEQ2SEQ", "VMT=", "film1", str(place)]:
        assert secret not in page, f"the page tells {secret}"
    systems_of = {piece: it["system"] for film in key["films"] for piece, it in film["pieces"].items()}
    rating = lambda piece: [(5, 4), (3, 2), (1, 0)][systems_of[piece]]  # noqa: E731

    # Twice the same.
    program(*made, "-o", str(place / "again"))
    assert (place / "again.key.json").read_bytes() == (place / "study.key.json").read_bytes()
    for file in (place / "study").rglob("*.*"):
        assert file.read_bytes() == (place / "again" / file.relative_to(place / "study")).read_bytes(), file

    url = (place / "study/index.html").as_uri()
    answers = place / "answers"
    answers.mkdir()
    browser = Browser(place, SHOTS)
    try:
        browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(answers))
        for rater, (width, height, dark) in enumerate([(360, 740, False), (768, 1024, True), (1280, 900, False)]):
            print(f"study_page: {width} x {height}, from a file")
            browser.size(width, height, dark)
            browser.open(f"{url}?rater={rater}")
            browser.check_layout("welcome")
            browser.shot(f"welcome-{width}")
            rated = Session(browser, key["checks"])
            rated.begin()
            browser.check_layout("training")
            browser.shot(f"training-{width}")
            by_key = width == 1280
            rated.training(by_key)
            browser.shot(f"film-{width}", full=False)
            orders = json.loads(re.search(r'id="study" type="application/json">(.*?)</script>', page, re.S).group(1))
            first = orders["films"][orders["orders"][rater % len(orders["orders"])][0]]
            want = [first["pieces"][index] for index in first["orders"][rater % len(first["orders"])]]
            assert rated.pieces() == want, "the order is not that of the design"

            # A piece is heard and rated; then the page is paused, closed and opened again.
            rated.play(0)
            rated.rate(want[0], *rating(want[0]))
            rated.play(1)
            browser.check_layout("film")
            browser.shot(f"rated-{width}")
            browser.click("#pause")
            browser.shot(f"paused-{width}")
            browser.open(f"{url}?rater={rater}")
            assert rated.heading() == "Welcome back"
            browser.shot(f"back-{width}")
            browser.click("#resume")
            browser.wait("!!document.querySelector('#next')", "going on")
            name = f'input[name="{want[0]}smoothness"]:checked'
            assert browser.run(f"document.querySelector('{name}').value") == str(rating(want[0])[0]), "the rating is still there"
            assert browser.run("document.querySelectorAll('section.heard').length") == 2, "what was heard counts"
            browser.click("#next")
            assert rated.problem() == "Please play Piece C to its end."
            rated.rate(want[1], *rating(want[1]))
            rated.play(2, by_key)
            browser.click("#next")
            assert rated.problem() == "Please give both ratings for Piece C."
            rated.rate(want[2], *rating(want[2]), by_key)
            rated.heard.extend(want)
            rated.next()
            while (heading := rated.heading()) != "Thank you!":
                if heading == "Film 2 of 3":
                    rated.skip()
                    continue
                if heading == "One piece in between":
                    browser.shot(f"check-{width}")
                rated.film(rating, by_key)
            assert (len(rated.heard), rated.skipped) == (6, 1)
            browser.run("document.querySelector('#comment').focus()")
            browser.send("Input.insertText", text="Nice.\nReally.")
            browser.check_layout("end")
            browser.shot(f"end-{width}")
            assert not browser.run("!!document.querySelector('#send')"), "there is nobody to send it to"
            browser.click("#download")
            end = time.monotonic() + 60
            while len(list(answers.glob("*.json"))) <= rater:
                assert time.monotonic() < end, "no file was saved"
                time.sleep(0.05)

        print("study_page: from the collector")
        server = subprocess.Popen(
            [PROGRAM, "study", "serve", place / "study", "--answers", answers, "--address", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        )
        try:
            address = re.search(r"http://\S+/", server.stdout.readline()).group(0)
            browser.open(address)
            rated = Session(browser, key["checks"])
            rated.begin()
            rated.training()
            rated.film(rating)
            browser.click("#pause")
            browser.click("#stop")
            assert rated.heading() == "Thank you!"
            browser.click("#send")
            browser.wait("document.querySelector('#result').textContent.includes('have arrived')", "the collector")
            browser.shot("sent")
        finally:
            server.terminate()
            assert server.wait(10) == 0, "it ends cleanly"
        browser.check_quiet()
    finally:
        browser.close()

    files = sorted(answers.glob("*.json"))
    assert len(files) == 4, files
    last = json.loads(max(files, key=lambda file: file.stat().st_mtime).read_text())
    assert (last["rater"], last["complete"], len(last["films"])) == (3, False, 1), last
    (answers / "broken.json").write_text("{")
    said = program("study", "score", str(answers), "--key", str(place / "study.key.json"), "-o", str(place / "scores.md"))
    assert said.count("broken.json: must be answers of a study") == 1, said
    report = json.loads((place / "scores.json").read_text())
    assert (report["people"], report["ratings"], report["incomplete"], report["failed"]) == (4, 21, 1, []), report
    means = [[score["mean"] for score in system["scores"]] for system in report["systems"]]
    assert means == [[5, 4], [3, 2], [1, 0]], means
    assert sum(film["skipped"] for film in report["skips"]) == 3, report["skips"]
    assert all("Nice. Really." in comment for comment in report["comments"]), report["comments"]
    if SHOTS:
        shutil.copy(place / "scores.png", SHOTS)
    print("study_page: four sessions were clicked through, and their answers scored")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    main(pathlib.Path(folder).resolve())
