"""MkDocs hooks: pages from outside docs/, and links that work in the repository and on the site alike.

Every page is written with links relative to its place in the repository, so that they work where the repository is
browsed. Here a link to another page becomes that page's address on the site; a link to any other file points into the
repository on the web (REPOSITORY_URL), or becomes plain text where that is not known.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parent.parent
DOCS = "docs"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "client/README.md": "client.md",
    "training/README.md": "training.md",
    "deploy/helm/audiocraft-triton/README.md": "helm-chart.md",
    "audiocraft_triton/checkpoints/demo/MODEL_CARD.md": "model-card.md",
}
"""Path in the repository -> path on the site, for pages outside docs/."""
_SOURCES = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(PROJECT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Rewrites the links of a page; code stays as it is."""
    on_site = page.file.src_uri
    source = _SOURCES.get(on_site, f"{DOCS}/{on_site}")
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(_rewriter(source, on_site, config.repo_url or ""), part) for part in parts[::2]]
    return "".join(parts)


def _rewriter(source: str, on_site: str, repository: str) -> Callable[[re.Match[str]], str]:
    def rewrite(link: re.Match[str]) -> str:
        path, hash_sign, anchor = link["target"].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return link[0]
        in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = PAGES.get(in_repository)
        if target is None and in_repository.startswith(f"{DOCS}/"):
            target = in_repository.removeprefix(f"{DOCS}/")
        if target is not None:
            address = posixpath.relpath(target, posixpath.dirname(on_site) or ".")
            return f"{link['image']}[{link['text']}]({address}{hash_sign}{anchor})"
        return f"[{link['text']}]({repository}/blob/main/{in_repository})" if repository else link["text"]

    return rewrite
