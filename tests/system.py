"""Make sure that the programs pip cannot install are there: Chromium (the site's tests) and bubblewrap (grading).

As root on Debian they are installed; elsewhere the missing ones are named with the line that installs them.
"""

import os
import shutil
import subprocess
import sys

NEEDED = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "bubblewrap": ("bwrap",)}


def missing() -> list[str]:
    """The Debian packages of the programs that are not on the PATH (bubblewrap exists on Linux alone)."""
    names = NEEDED if sys.platform == "linux" else {"chromium": NEEDED["chromium"]}
    return [package for package, programs in names.items() if not any(map(shutil.which, programs))]


def install(packages: list[str]) -> None:
    """Install Debian packages without questions, showing apt's output only if it fails."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *command], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode:
            sys.exit(f"apt-get {' '.join(command)} failed:\n{done.stdout}")


def main() -> None:
    lacking = missing()
    if lacking and sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {', '.join(lacking)} …", flush=True)
        install(lacking)
        lacking = missing()
    if lacking:
        line = {
            "linux": f"sudo apt-get install {' '.join(lacking)}",
            "darwin": "brew install --cask chromium",
            "win32": "winget install Hibbiki.Chromium",
        }.get(sys.platform, f"install {' and '.join(lacking)} with your package manager")
        sys.exit(
            f"The tests need {' and '.join(lacking)}. Install with:\n  {line}\nor run the tests that need neither: make quick"
        )


if __name__ == "__main__":
    main()
