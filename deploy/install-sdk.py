#!/usr/bin/env python3
"""For `meson install`: puts the built SDK (folder and npm tarball), the bundler and the manual where a distribution would.

  install-sdk.py CLIENT DOCS LIBEXECDIR DATADIR     all absolute; DESTDIR is honoured
"""
import os
import pathlib
import platform
import shutil
import sys
import tarfile


def dest(path):
    root = os.environ.get("DESTDIR", "")
    return pathlib.Path(root + path) if root else pathlib.Path(path)


def plain(info):
    """The same bytes whoever packs, and when."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info


def install(client, docs, libexec, data):
    dist = client / "dist"
    if not (dist / "index.js").exists():
        sys.exit(f"The SDK is not built: run `npm ci && npm run build` in {client}, then install again.")
    sdk = dest(data) / "millrace" / "sdk"
    shutil.rmtree(sdk, ignore_errors=True)
    sdk.mkdir(parents=True)
    shutil.copy(client / "package.json", sdk)
    shutil.copytree(dist, sdk / "dist")
    with tarfile.open(sdk.parent / "millrace.tgz", "w:gz") as tar:
        tar.add(sdk / "package.json", "package/package.json", filter=plain)
        for path in sorted((sdk / "dist").rglob("*")):
            if path.is_file():
                tar.add(path, f"package/{path.relative_to(sdk)}", filter=plain)
    arch = "arm64" if platform.machine() == "aarch64" else "x64"
    esbuild = client / "node_modules" / "@esbuild" / f"linux-{arch}" / "bin" / "esbuild"
    if not esbuild.exists():
        sys.exit(f"{esbuild} is missing: run `npm ci` in {client}, then install again.")
    target = dest(libexec) / "millrace"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(esbuild, target / "esbuild")
    (target / "esbuild").chmod(0o755)
    manual = dest(data) / "doc" / "millrace"
    manual.mkdir(parents=True, exist_ok=True)
    for page in sorted(docs.glob("*.md")):
        shutil.copy(page, manual)


def main(args):
    if len(args) != 4:
        sys.exit(__doc__)
    install(pathlib.Path(args[0]), pathlib.Path(args[1]), args[2], args[3])


main(sys.argv[1:])
