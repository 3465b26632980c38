"""debian_source: the upstream tarball of a Debian source package, fetched by apt from the machine's own mirror.

The suite is named here, the mirror is read from the machine's apt sources, the tarball is checked against its sha256 and then patched.
`--tar-only` matters: the .dsc of a superseded Debian revision may be gone from the mirror, the upstream tarball is not.
"""

_FETCH = """set -eu
mirror=$(sed -n 's/^URIs: *//p;s/^deb[^h]*\\(http[^ ]*\\).*/\\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | head -1)
if [ -z "$mirror" ]; then echo "no Debian mirror found in /etc/apt/sources.list*" >&2; exit 1; fi
mkdir -p lists/partial cache/archives/partial
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror {suite} main" > src.list
o="-o Dir::Etc::sourcelist=$PWD/src.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD/cache -o APT::Sandbox::User=$(id -un)"
apt-get $o -qq update
apt-get $o -qq source --download-only --tar-only {package}
rm -rf lists cache src.list
"""

def _impl(rctx):
    fetched = rctx.execute(["bash", "-c", _FETCH.format(suite = rctx.attr.suite, package = rctx.attr.package)], timeout = 600)
    if fetched.return_code:
        fail("fetching %s: %s%s" % (rctx.attr.tarball, fetched.stdout, fetched.stderr))
    digest = rctx.execute(["sha256sum", rctx.attr.tarball]).stdout.split(" ")[0]
    if digest != rctx.attr.sha256:
        fail("sha256 of %s is %s, expected %s" % (rctx.attr.tarball, digest, rctx.attr.sha256))
    rctx.extract(rctx.attr.tarball, stripPrefix = rctx.attr.strip_prefix)
    rctx.delete(rctx.attr.tarball)
    for patch in rctx.attr.patches:
        rctx.patch(patch, strip = 1)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

debian_source = repository_rule(
    implementation = _impl,
    attrs = {
        "build_file": attr.label(mandatory = True),
        "package": attr.string(mandatory = True),
        "patches": attr.label_list(doc = "patches of our own, applied in order with -p1; each has a test that fails without it"),
        "sha256": attr.string(mandatory = True),
        "strip_prefix": attr.string(),
        "suite": attr.string(mandatory = True),
        "tarball": attr.string(mandatory = True),
    },
)
