"""nexus_capnp_library: C++ from a Cap'n Proto schema, with the compiler built from the same source as the runtime."""

def nexus_capnp_library(name, src = None, deps = [], visibility = None):
    """name.capnp becomes the library :name with header <package>/name.capnp.h. deps are other such libraries that it imports."""
    src = src or name + ".capnp"
    native.filegroup(name = name + "_schema", srcs = [src] + [d + "_schema" for d in deps], visibility = ["//visibility:public"])
    native.genrule(
        name = name + "_gen",
        srcs = [src, ":" + name + "_schema", "@capnproto//:schemas"],
        outs = [src + ".h", src + ".c++"],
        tools = ["@capnproto//:capnp_tool", "@capnproto//:capnpc-c++"],
        cmd = "inc=$$(dirname $$(dirname $$(echo $(locations @capnproto//:schemas) | cut -d' ' -f1))); " +
              "$(location @capnproto//:capnp_tool) compile -I $$inc -I . --src-prefix=. " +
              "-o$(location @capnproto//:capnpc-c++):$(GENDIR) $(location %s)" % src,
    )
    native.cc_library(
        name = name,
        srcs = [src + ".c++"],
        hdrs = [src + ".h"],
        copts = ["-w"],
        deps = deps + ["@capnproto//:capnp-rpc"],
        visibility = visibility or ["//visibility:public"],
    )

def nexus_capnp_schema(name, src, deps = [], visibility = None):
    """The compiled form of the schema src, as `capnp compile -o-` writes it: for programs that read interfaces as data, some of which C++ could not
    even compile. deps: the nexus_capnp_libraries that it imports."""
    native.genrule(
        name = name + "_gen",
        srcs = [src, "@capnproto//:schemas"] + [d + "_schema" for d in deps],
        outs = [name],
        tools = ["@capnproto//:capnp_tool"],
        cmd = "inc=$$(dirname $$(dirname $$(echo $(locations @capnproto//:schemas) | cut -d' ' -f1))); " +
              "$(location @capnproto//:capnp_tool) compile -I $$inc -I . -o- $(location %s) > $@" % src,
        visibility = visibility,
    )
