"""debian_kernel: the kernel of the guests, unmodified from the machine's own Debian suite, fetched by apt and unpacked, never installed.

The version is whatever the mirror has now; it is recorded in :version, so that a report can name it. `bazel sync --only=NAME` fetches anew.
"""

_BUILD = """package(default_visibility = ["//visibility:public"])

exports_files(["vmlinuz", "version", "release"])

filegroup(name = "modules", srcs = glob(["modules/**"]))
"""

def _impl(rctx):
    fetched = rctx.execute(["bash", rctx.path(rctx.attr._script)], timeout = 900)
    if fetched.return_code:
        fail("fetching the guest kernel: %s%s" % (fetched.stdout, fetched.stderr))
    rctx.file("BUILD.bazel", _BUILD)

debian_kernel = repository_rule(
    implementation = _impl,
    attrs = {"_script": attr.label(default = "@nexus//tools/bazel:debian_kernel.sh")},
)
