"""Reading the HTML pages as a browser would."""

from html.parser import HTMLParser

EMPTY = {"meta", "img", "br", "path", "use", "rect"}  # tags that hold nothing, or whose end does not matter


class Reader(HTMLParser):
    """Tags that were opened and not closed, what the page would load, and what its pictures say to a screen reader."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.pictures: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag != "a":
            self.loaded += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag in ("svg", "img"):
            self.pictures.append(given.get("aria-label") or given.get("alt"))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
