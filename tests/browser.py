"""A headless Chromium, driven over its pipe: no package is needed for it."""

import base64
import json
import os
import shutil
import subprocess
import time
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # A microphone that beeps, and that every page may use.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


class Browser:
    """One page.

    Args:
        folder: For what the browser keeps.
    """

    def __init__(self, folder):
        theirs, self._to = os.pipe()
        self._from, their_end = os.pipe()
        shell = f'exec "$@" 3<&{theirs} 4>&{their_end}'
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command, "about:blank"],
            pass_fds=(theirs, their_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(their_end)
        self._number, self._read, self._session = 0, b"", {}
        while not (pages := self._pages()):
            time.sleep(0.05)
        found = self.call("Target.attachToTarget", targetId=pages[0], flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        self.call("Page.enable")

    def _pages(self):
        targets = self.call("Target.getTargets")["targetInfos"]
        return [one["targetId"] for one in targets if one["type"] == "page"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of Chromium's protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._read:
                piece = os.read(self._from, 1 << 20)
                assert piece, "the browser ended"
                self._read += piece
            text, _, self._read = self._read.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, awaited."""
        done = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def choose(self, field: str, content: bytes, name: str) -> None:
        """Has a file of this content and name chosen in the field of that id."""
        text = base64.b64encode(content).decode()
        self.evaluate(
            f"""(() => {{
              const bytes = Uint8Array.from(atob("{text}"), (one) => one.charCodeAt(0));
              const chosen = new DataTransfer(), field = document.getElementById("{field}");
              chosen.items.add(new File([bytes], "{name}"));
              field.files = chosen.files;
              field.dispatchEvent(new Event("change"));
            }})()"""
        )

    def until(self, expression: str, seconds: float = 20) -> Any:
        """The value, when it is true."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, (
                expression,
                self.evaluate("document.body.innerText.slice(0, 500)"),
            )
            time.sleep(0.02)
        return value

    def open(self, url: str) -> None:
        """Goes to a page and waits for it."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._to)
        os.close(self._from)
