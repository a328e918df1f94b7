"""Composes on the page of runtime/vmt-web in Chromium, as somebody would: web_page.py [SCREENSHOTS]."""

import http.server
import pathlib
import sys
import tempfile
import threading

from browser import Browser

ROOT = pathlib.Path(__file__).parent.parent
SHOTS = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None


class Quiet(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=ROOT)

    def log_message(self, *_):
        pass


def main(place):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Browser(place, SHOTS)
    try:
        for width in (360, 768, 1280):
            browser.size(width, 800, dark=width == 768)
            browser.open(f"http://127.0.0.1:{server.server_port}/runtime/vmt-web/")
            assert browser.run("document.querySelector('#compose').disabled"), "there is no film yet"
            browser.wait("document.querySelector('[name=key]').options.length === 25", "the script")
            browser.click("#example")
            browser.wait("document.querySelector('#status').textContent === 'A film of 12.0 seconds.'", "the film")
            wide = browser.run("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, f"{width}: wider than the window"
            if width == 768:
                # Wrong input is the browser's to refuse.
                browser.run("document.querySelector('[name=tempo]').value = 1000")
                browser.click("#compose")
                assert browser.run("document.querySelector('[name=tempo]').matches(':invalid')")
                browser.run("document.querySelector('[name=tempo]').value = 100")
            browser.click("#compose")
            browser.wait("document.querySelector('#status').textContent.includes(' notes. ')", "the music", 120)
            notes = int(browser.run("document.querySelector('#status').textContent").split()[0])
            file = "fetch(document.querySelector('#midi').href).then(it => it.arrayBuffer()).then(it => [...new Uint8Array(it)])"
            midi = bytes(browser.run(file))
            assert midi.startswith(b"MThd") and len(midi) > 8 * notes, f"{notes} notes in {len(midi)} bytes"
            drawn = "[...new Uint32Array(roll.getContext('2d').getImageData(0, 0, roll.width, roll.height).data.buffer)]"
            assert browser.run(f"{drawn}.filter(pixel => pixel).length") > 100, "a piano roll"
            browser.run("document.querySelector('#video').play()")
            browser.wait("document.querySelector('#video').currentTime > 1", "the film plays")
            browser.run("document.querySelector('#video').pause()")
            browser.shot(f"web-{width}")
        browser.check_quiet()
    finally:
        browser.close()
        server.shutdown()
    print("web_page: the example was composed for and played at three widths")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    main(pathlib.Path(folder).resolve())
