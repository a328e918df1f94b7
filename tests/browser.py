"""Chromium, driven through a pipe: no package is needed."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


class Browser:
    """Chromium without a window, whose profile is in the folder `place`. Commands are JSON, with a zero behind each, on its descriptors 3
    and 4. Screenshots are kept in the folder `shots`."""

    def __init__(self, place, shots=None):
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            sys.exit("no browser: install one of " + ", ".join(BROWSERS))
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
        self.numbers, self.buffer, self.events, self.session, self.shots = itertools.count(1), b"", [], None, shots
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
        if self.shots:
            self.shots.mkdir(exist_ok=True)
            if full:
                self.run("scrollTo(0, 0)")
            self.run("Promise.race([new Promise(done => setTimeout(done, 2000)), (async () => { for (const video of "
                     "document.querySelectorAll('video')) while (video.readyState < 2) await new Promise(requestAnimationFrame) })()])")
            picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
            (self.shots / f"{name}.png").write_bytes(base64.b64decode(picture))

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
        """Waits for all of its processes, which write to the profile until they end."""
        self.session = None
        self.send("Browser.close")
        self.process.wait(20)
