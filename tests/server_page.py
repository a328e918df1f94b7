"""Composes on the page of `vmt serve` in Chromium, as somebody would: server_page.py FOLDER_OF_VMT [SCREENSHOTS]."""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

from browser import Browser

ROOT = pathlib.Path(__file__).parent.parent
VMT = pathlib.Path(sys.argv[1]).resolve() / "vmt"
SHOTS = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
FILM = (ROOT / "tests/data/demo.mp4").read_bytes()
MAGIC = {"mid": b"MThd", "wav": b"RIFF", "mp4": b"ftyp", "mkv": b"\x1aE\xdf\xa3", "mov": b"ftyp", "png": b"\x89PNG", "svg": b"<svg",
         "musicxml": b"<?xml", "mxl": b"PK", "json": b"{", "mp3": b""}


def serve(place, *options):
    """A server and its address."""
    process = subprocess.Popen([VMT, "serve", "--listen", "127.0.0.1:0", "--log", "off", *options], stderr=subprocess.PIPE, text=True, cwd=place)
    line = process.stderr.readline()
    assert line.startswith("listening on http://127.0.0.1:"), line
    return process, line.split()[-1]


class Page(Browser):
    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def set(self, name, value):
        self.run(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")

    def drop(self, name, content):
        data = base64.b64encode(content).decode()
        self.run(f"""(() => {{
            const bytes = Uint8Array.from(atob({json.dumps(data)}), it => it.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], {json.dumps(name)}));
            document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }}));
        }})()""")

    def compose(self):
        self.click("#compose")
        self.wait("document.querySelector('#status').textContent.startsWith('Done: ')", "the music", 120)

    def times(self):
        """Of the music, the film and the roll, in seconds."""
        return self.run("[page.audio.currentTime, document.querySelector('#video').currentTime, page.roll.now]")

    def plays(self, after):
        self.wait(f"page.audio.currentTime > {after} + 0.5 && !page.audio.paused", "the music plays")
        music, film, roll = self.times()
        assert abs(film - music) < 0.15 and abs(roll - music) < 0.15, f"music, film and roll are apart: {music}, {film}, {roll}"
        return music


def main(place):
    process, address = serve(place)
    browser = Page(place, SHOTS)
    try:
        for width in (360, 768, 1280):
            browser.size(width, 800, dark=width == 768)
            browser.open(address)
            browser.wait("document.querySelectorAll('#more label').length > 8", "the options")
            assert browser.run("document.querySelector('#compose').disabled"), "there is no film yet"
            browser.check_layout(f"{width}, empty")
            browser.drop("holiday.mp4", FILM)
            browser.wait("document.querySelector('#chosen').textContent === 'holiday.mp4, 0.2 MB, 0:12.0'", "the film's length")
            browser.set("takes", 3)
            browser.compose()
            browser.check_layout(f"{width}, with music")
            assert browser.run("document.querySelectorAll('#takes input').length") == 3
            drawn = "[...new Uint32Array(roll.getContext('2d').getImageData(0, 0, roll.width, roll.height).data.buffer)]"
            assert browser.run(f"(roll => {drawn}.filter(pixel => pixel).length)(document.querySelector('#roll'))") > 500, "a piano roll"
            browser.click("#play")
            music = browser.plays(0)
            # Another take from the same place.
            browser.click("#takes label:nth-of-type(2) input")
            browser.wait("page.heard === 1", "the second take")
            assert browser.plays(music - 0.6) >= music - 0.1, "the position stays"
            browser.run("(it => { it.value = 8; it.dispatchEvent(new Event('input')); })(document.querySelector('#position'))")
            browser.plays(8)
            browser.click("#play")
            assert browser.run("page.audio.paused && document.querySelector('#video').paused")
            browser.shot(f"server-{width}")

        # Files, with the bytes of their kinds; the browser's own download goes nowhere here.
        browser.run("""window.kept = {}; HTMLAnchorElement.prototype.click = function () {
            fetch(this.href).then(it => it.arrayBuffer()).then(it => {
                const kind = this.download.split('.').pop();
                window.kept[kind] = [this.download, String.fromCharCode(...new Uint8Array(it).slice(0, 12)), it.byteLength]; }); }""")
        for kind, magic in MAGIC.items():
            browser.click(f"#files [data-kind={kind}]")
            browser.wait(f"'{kind}' in kept", kind)
            name, head, size = browser.run(f"kept['{kind}']")
            assert name == f"take2.{kind}" and magic.decode("latin1") in head and size > 300, (kind, name, head, size)

        # Again with another seed: other music for the same film.
        notes = "JSON.stringify(page.roll.notes)"
        before = browser.run(notes)
        browser.set("seed", 7)
        browser.set("takes", 1)
        browser.compose()
        assert browser.run(notes) != before
        # By keyboard alone.
        browser.run("document.querySelector('#play').focus()")
        browser.key("Enter", text="\r")
        browser.plays(0)
        browser.key("Enter", text="\r")

        # Notes are seen while they are composed, and it can be cancelled.
        browser.set("takes", 16)
        browser.click("#compose")
        browser.wait("page.roll.notes.length > 5 && !document.querySelector('#cancel').hidden", "notes while it is composed")
        browser.click("#cancel")
        browser.wait("document.querySelector('#status').textContent === 'Cancelled.'", "the end")
        running = "fetch('/metrics').then(it => it.text()).then(it => /vmt_jobs_now\\{state=.running.\\} 0/.test(it))"
        browser.wait(running, "the server stops, too", 5)

        # What is wrong is said in words, and does not stay.
        browser.set("takes", 1)
        browser.drop("letter.txt", b"no film at all" * 100)
        browser.wait("document.querySelector('#chosen').textContent.includes('cannot show it')", "a film that the browser does not play")
        browser.click("#compose")
        browser.wait("document.querySelector('#error').textContent.includes('must be a video')", "the error")
        browser.check_layout("error")
        browser.shot("server-error")
        browser.click("#example")
        browser.wait("document.querySelector('#error').textContent === ''", "no error")
        # The browser itself tells of answers that are errors; others there must not be.
        browser.events = [it for it in browser.events if it.get("params", {}).get("entry", {}).get("source") != "network"]
        browser.check_quiet()
    finally:
        process.terminate()
        assert process.wait(40) == 0

    (place / "tokens").write_text("secret\n")
    process, address = serve(place, "--token-file", "tokens")
    try:
        browser.open(address)
        browser.wait("!document.querySelector('#token').hidden", "the question for a token")
        browser.run("document.querySelector('#token input').value = 'secret'")
        browser.click("#token button")
        browser.wait("document.querySelectorAll('#more label').length > 8", "the options")
        browser.click("#example")
        browser.wait("!document.querySelector('#compose').disabled", "the example")
        browser.compose()
    finally:
        browser.close()
        process.terminate()
        process.wait(40)
    print("server_page: composed, played, compared, downloaded and cancelled at three widths, and with a token")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    main(pathlib.Path(folder).resolve())
