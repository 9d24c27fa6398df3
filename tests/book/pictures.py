"""Take the README's pictures of the built site: ``python -m tests.book.pictures`` writes ``chapters/images/site-*.png``."""

from tests.book.contents import ROOT
from tests.book.pages import chromium

PAGE = ROOT / "_build" / "html" / "chapters" / "01_language_models.html"
PICTURES = ROOT / "chapters" / "images"
ABOVE = 150  # pixels of text to leave above the figure


def main() -> None:
    """One picture in light and one in dark: the first interactive figure of chapter 1 in its page."""
    PICTURES.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        page = chromium().new_page(viewport={"width": 1280, "height": 860}, color_scheme=theme)
        page.goto(PAGE.as_uri())
        page.wait_for_function("document.documentElement.dataset.lmWidgets === 'ready'")
        page.evaluate(f"window.scrollTo(0, document.querySelector('.lmw').getBoundingClientRect().top + scrollY - {ABOVE})")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / f"site-{theme}.png")
        page.close()


if __name__ == "__main__":
    main()
