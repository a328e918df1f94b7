"""Composes on the page of `vmt serve` in Chromium, as somebody would: server_page.py FOLDER_OF_VMT [SCREENSHOTS]."""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from browser import Browser

ROOT = pathlib.Path(__file__).parent.parent
VMT = pathlib.Path(sys.argv[1]).resolve() / "vmt"
SHOTS = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
FILM = (ROOT / "tests/data/demo.mp4").read_bytes()
MAGIC = {"mid": b"MThd", "wav": b"RIFF", "mp3": b"ID3", "mp4": b"ftyp", "mkv": b"\x1aE\xdf\xa3", "mov": b"ftyp", "png": b"\x89PNG",
         "svg": b"<svg", "musicxml": b"<?xml", "mxl": b"PK", "json": b"{"}

# The least contrast of text that is seen, with the text itself (WCAG 2.2, 1.4.3).
CONTRAST = """(() => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => channels(colour).slice(0, 3).map(it => it / 255).map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
        .reduce((sum, it, index) => sum + it * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (channels(colour)[3] !== 0) return colour;
        }
    };
    return [...document.querySelectorAll('main *')].filter(it => it.checkVisibility() && it.matches('input, select, button')
        || [...it.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && it.checkVisibility()).map(it => {
            const [low, high] = [light(getComputedStyle(it).color), light(behind(it))].sort((a, b) => a - b);
            return [(high + 0.05) / (low + 0.05), it.outerHTML.slice(0, 100)];
        }).sort((a, b) => a[0] - b[0])[0];
})()"""


def serve(place, *options):
    """A server and its address."""
    process = subprocess.Popen([VMT, "serve", "--listen", "127.0.0.1:0", "--log", "off", *options], stderr=subprocess.PIPE, text=True, cwd=place)
    line = process.stderr.readline()
    assert line.startswith("listening on http://127.0.0.1:"), line
    return process, line.split()[-1]


def wait_until_idle(address):
    """Until no job runs on the server."""
    end = time.monotonic() + 60
    while 'vmt_jobs_now{state="running"} 0' not in urllib.request.urlopen(f"{address}/metrics").read().decode():
        assert time.monotonic() < end, "the server still composes"
        time.sleep(0.1)


class Page(Browser):
    def size(self, width, height, dark=False):
        super().size(width, height, dark)
        self.width = width

    def set(self, name, value):
        self.run(f"""(it => {{ it.value = {json.dumps(value)}; it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})
            (document.querySelector('[name={name}]'))""")

    def drop(self, name, content):
        data = base64.b64encode(content).decode()
        self.run(f"""(() => {{
            const bytes = Uint8Array.from(atob({json.dumps(data)}), it => it.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], {json.dumps(name)}));
            document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }}));
        }})()""")

    def wait_text(self, selector, text, seconds=60):
        self.wait(f"document.querySelector({json.dumps(selector)}).textContent.includes({json.dumps(text)})", text, seconds)

    def compose(self):
        self.click("#compose")
        self.wait_text("#status", "Done: ")

    def plays(self, after):
        """Music, film and roll move on together; gives where they are, in seconds."""
        self.wait(f"page.audio.currentTime > {after} + 0.5 && !page.audio.paused", "the music plays")
        music, film, roll = self.run("[page.audio.currentTime, document.querySelector('#video').currentTime, page.roll.now]")
        assert abs(film - music) < 0.15 and abs(roll - music) < 0.15, f"music, film and roll are apart: {music}, {film}, {roll}"
        return music

    def check(self, what):
        self.check_layout(what)
        # A telephone shows more than its width where something is too wide.
        assert self.run("innerWidth") == self.width, f"{what}: wider than the screen"
        ratio, where = self.run(CONTRAST)
        assert ratio >= 4.5, f"{what}: a contrast of {ratio:.2f}: {where}"


def listen_and_compare(browser, width):
    browser.drop("holiday.mp4", FILM)
    browser.wait_text("#chosen", "holiday.mp4, 0.2 MB, 0:12.0")
    browser.set("takes", 3)
    browser.compose()
    browser.check(f"{width}, with music")
    assert browser.run("document.querySelectorAll('#takes input').length") == 3
    drawn = "new Uint32Array(it.getContext('2d').getImageData(0, 0, it.width, it.height).data.buffer).filter(pixel => pixel).length"
    assert browser.run(f"(it => {drawn})(document.querySelector('#roll'))") > 2000, "a piano roll"
    browser.click("#play")
    music = browser.plays(0)
    browser.click("#takes label:nth-of-type(2)")
    browser.wait("page.heard === 1", "the second take")
    assert browser.plays(music - 0.6) >= music - 0.1, "the position stays"
    browser.run("(it => { it.value = 8; it.dispatchEvent(new Event('input')); })(document.querySelector('#position'))")
    assert browser.plays(8) < 10
    browser.click("#roll")
    # The middle of the roll is 1.5 seconds after the present.
    assert browser.plays(9) > 9.5
    browser.click("#play")
    assert browser.run("page.audio.paused && document.querySelector('#video').paused")
    browser.shot(f"server-{width}")
    x, y, before = browser.run("""(it => {
        it.scrollIntoView({ block: 'center', behavior: 'instant' });
        const box = it.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2, page.roll.now];
    })(document.querySelector('#roll'))""")
    for kind, place in [("mousePressed", x), ("mouseMoved", x + 50), ("mouseReleased", x + 50)]:
        browser.send("Input.dispatchMouseEvent", type=kind, x=place, y=y, button="left", buttons=1, clickCount=1)
    assert browser.run("page.roll.now") < before - 0.4, "the roll is dragged"


def download(browser):
    """All files, with the bytes of their kinds; the browser's own download goes nowhere here."""
    browser.run("""window.kept = {}; window.blobs = {};
        const create = URL.createObjectURL; URL.createObjectURL = blob => { const url = create.call(URL, blob); blobs[url] = blob; return url; };
        HTMLAnchorElement.prototype.click = function () { blobs[this.href].arrayBuffer().then(it => {
            kept[this.download] = [String.fromCharCode(...new Uint8Array(it).slice(0, 400)), it.byteLength]; }); }""")
    for kind, magic in MAGIC.items():
        name = f"holiday-take2.{kind}"
        browser.click(f"#files [data-kind={kind}]")
        browser.wait(f"'{name}' in kept", name)
        head, size = browser.run(f"kept['{name}']")
        assert magic.decode("latin1") in head and size > 300, (name, head, size)


def compose_again(browser):
    """With another seed for the same film, by keyboard; nothing is kept of the music before."""
    browser.run("""window.urls = 0; for (const [name, step] of [['createObjectURL', 1], ['revokeObjectURL', -1]]) {
        const real = URL[name]; URL[name] = it => { if (it) urls += step; return real.call(URL, it); }; }""")
    notes = "JSON.stringify(page.roll.notes)"
    before = browser.run(notes)
    browser.set("seed", 7)
    browser.set("takes", 1)
    browser.set("tempo", "100")
    browser.set("intensity", "rising")
    browser.set("hit", "3 6.5")
    browser.run("document.querySelector('#compose').focus()")
    browser.key("Enter", text="\r")
    browser.wait_text("#status", "Done: ")
    assert browser.run(notes) != before
    assert browser.run("urls") == 0, "Blob URLs are left"
    browser.run("document.querySelector('#play').focus()")
    browser.key("Enter", text="\r")
    browser.plays(0)
    browser.key("Enter", text="\r")


def cancel(browser, address):
    """Notes are seen while they are composed; what was heard before comes back."""
    notes = browser.run("page.roll.notes.length")
    browser.set("takes", 16)
    browser.click("#compose")
    browser.wait("page.roll.notes.length > 5 && page.roll.now > 0 && document.querySelector('#player').hidden", "notes while it is composed")
    browser.check("composing")
    browser.click("#cancel")
    browser.wait_text("#status", "Cancelled.")
    wait_until_idle(address)
    assert browser.run("!document.querySelector('#player').hidden && page.roll.notes.length") == notes
    assert browser.run("document.querySelector('#error').textContent === '' && document.querySelector('#cancel').hidden")


def refuse(browser):
    """What is wrong is said in words, and does not stay."""
    browser.set("takes", 1)
    browser.drop("letter.txt", b"no film at all" * 100)
    browser.wait_text("#chosen", "cannot show it")
    browser.click("#compose")
    browser.wait_text("#error", "must be a video")
    browser.check("error")
    browser.shot("server-error")
    browser.click("#example")
    browser.wait("document.querySelector('#error').textContent === ''", "no error")


def leave(browser, address):
    """The server stops composing for a page that is left."""
    browser.set("takes", 16)
    browser.click("#compose")
    browser.wait("page.roll.notes.length > 5", "notes")
    browser.send("Page.navigate", url="about:blank")
    wait_until_idle(address)


def with_token(browser, address):
    """And with a limit, which the page knows before it sends the film."""
    browser.open(address)
    browser.wait("!document.querySelector('#token').hidden", "the question for a token")
    browser.check("token")
    browser.run("document.querySelector('#token input').value = 'secret'; document.querySelector('#token input').focus()")
    browser.key("Enter", text="\r")
    browser.wait("document.querySelector('#token').hidden", "the options")
    browser.click("#example")
    browser.wait_text("#chosen", "0:12.0")
    browser.click("#compose")
    browser.wait_text("#error", "The film lasts 0:12.0, and this server takes at most 0:05.0")
    browser.click("summary")
    browser.set("start", "0:04")
    browser.set("end", "8")
    browser.check("more options")
    browser.shot("server-options")
    browser.compose()
    browser.click("#play")
    browser.wait("page.audio.currentTime > 0.5", "the music plays")
    music, film = browser.run("[page.audio.currentTime, document.querySelector('#video').currentTime]")
    assert abs(film - music - 4) < 0.15, f"the film's part: {music}, {film}"


def main(place):
    process, address = serve(place)
    browser = Page(place, SHOTS)
    try:
        for width in (360, 768, 1280):
            browser.size(width, 800, dark=width == 768)
            browser.open(address)
            browser.wait("document.querySelectorAll('#more label').length > 8", "the options")
            assert browser.run("document.querySelector('#compose').disabled"), "there is no film yet"
            browser.check(f"{width}, empty")
            listen_and_compare(browser, width)
        download(browser)
        compose_again(browser)
        cancel(browser, address)
        refuse(browser)
        leave(browser, address)
        process.terminate()
        assert process.wait(40) == 0

        (place / "tokens").write_text("secret\n")
        process, address = serve(place, "--token-file", str(place / "tokens"), "--max-seconds", "5")
        with_token(browser, address)
        # The browser itself calls answers of 4xx errors, which are wanted here.
        browser.events = [it for it in browser.events if it.get("params", {}).get("entry", {}).get("source") != "network"]
        browser.check_quiet()
    finally:
        browser.close()
        process.terminate()
        process.wait(40)
    print("server_page: composed, played, compared, downloaded and cancelled at three widths, and with a token")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    main(pathlib.Path(folder).resolve())
