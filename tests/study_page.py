"""Clicks through the page of a listening study in Chromium, from a file and from the collector, at three widths.

Usage: study_page.py FOLDER [SCREENSHOTS]
FOLDER holds the program vmt-train. Chromium is driven through a pipe, so no package is needed. Screenshots are kept if a folder for
them is named.
"""

import base64
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

print = functools.partial(print, flush=True)
PROGRAM = pathlib.Path(sys.argv[1]).resolve() / "vmt-train"
SHOTS = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
SKIP = "I know this song or music video. Skip!"


class Browser:
    """Chromium without a window. Commands are JSON, with a zero behind each, on its descriptors 3 and 4."""

    def __init__(self, place):
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            sys.exit("study_page: no browser: install one of " + ", ".join(BROWSERS))
        from_us, self.commands = os.pipe()
        self.replies, to_us = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"]
        options += ["--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-pipe", f"--user-data-dir={place}/profile"]
        line = f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}'
        self.process = subprocess.Popen(
            ["bash", "-c", line, program, *options, "about:blank"], pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL
        )
        os.close(from_us)
        os.close(to_us)
        self.numbers, self.buffer, self.events, self.session = itertools.count(1), b"", [], None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.send(domain + ".enable")

    def message(self):
        while b"\0" not in self.buffer:
            more = os.read(self.replies, 1 << 16)
            assert more, "the browser has ended"
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def send(self, method, **params):
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            reply = self.message()
            if reply.get("id") == number:
                assert "error" not in reply, (method, reply)
                return reply["result"]
            self.events.append(reply)

    def run(self, script):
        """What a script gives."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script, what, seconds=60):
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"waited in vain: {what}\n{self.run('document.body.innerText')}"
            time.sleep(0.05)

    def open(self, url):
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && !!document.querySelector('main h1, main h2')", url)

    def size(self, width, height, dark=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def click(self, selector):
        """As a finger does: where the element is, which must not be covered."""
        place = self.run(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = element.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
            const there = document.elementFromPoint(x, y);
            return [x, y, element === there || element.contains(there) || !!there && there.contains(element)];
        }})()""")
        assert place and place[2], f"{selector} is not there, or is covered"
        for kind in ["mousePressed", "mouseReleased"]:
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def key(self, key, code=None, text=None):
        for kind in ["keyDown", "keyUp"]:
            more = {"text": text} if text and kind == "keyDown" else {}
            codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39}
            virtual = codes.get(key, ord(key[0]))
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, windowsVirtualKeyCode=virtual, **more)

    def shot(self, name, full=True):
        if SHOTS:
            SHOTS.mkdir(exist_ok=True)
            if full:
                self.run("scrollTo(0, 0)")
            self.run("Promise.race([new Promise(done => setTimeout(done, 2000)), (async () => { for (const video of "
                     "document.querySelectorAll('video')) while (video.readyState < 2) await new Promise(requestAnimationFrame) })()])")
            picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
            (SHOTS / f"{name}.png").write_bytes(base64.b64decode(picture))

    def check_layout(self, what):
        """Nothing is wider than the window, and what can be touched is large enough (WCAG 2.2, 2.5.5)."""
        wide = self.run("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, f"{what}: wider than the window"
        small = self.run("""[...document.querySelectorAll('button, .scale input')].filter(it => it.offsetParent)
            .map(it => it.getBoundingClientRect()).filter(box => box.width < 40 || box.height < 44).length""")
        assert small == 0, f"{what}: {small} things are too small to touch"
        named = self.run("""[...document.querySelectorAll('button, input, textarea, video, section')].every(it =>
            it.ariaLabel || it.textContent.trim() || it.labels && [...it.labels].some(label => label.textContent.trim()))""")
        assert named, f"{what}: something has no name for screen readers"

    def check_quiet(self):
        """No error, and nothing from elsewhere."""
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            assert method != "Runtime.exceptionThrown", params
            entry = params.get("entry", {})
            assert method != "Log.entryAdded" or entry["level"] != "error", entry
            if method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                assert re.match(r"file:|data:|about:|blob:|http://127\.0\.0\.1:", url), url

    def close(self):
        self.process.terminate()
        self.process.wait()


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
    browser = Browser(place)
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
            end = time.monotonic() + 20
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


with tempfile.TemporaryDirectory() as folder:
    main(pathlib.Path(folder).resolve())
