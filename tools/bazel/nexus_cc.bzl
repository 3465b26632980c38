"""The house macros: BUILD files carry facts, flags live here."""

COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",  # interface implementations name what they ignore
]

def nexus_cc_module(name, deps = [], test_deps = [], test_data = [], test_size = "small", test_tags = [], hdrs = None, srcs = None, copts = [], testonly = False, linkopts = [], visibility = None, test_args = [], textual_hdrs = []):
    """One class or tight family: name.h, name.c++ and name-test.c++, whichever exist, become :name and :name-test."""
    if hdrs == None:
        hdrs = native.glob([name + ".h"])
    if srcs == None:
        srcs = native.glob([name + ".c++"])
    native.cc_library(
        name = name,
        hdrs = hdrs,
        srcs = srcs,
        textual_hdrs = textual_hdrs,
        deps = deps,
        copts = COPTS + copts,
        linkopts = linkopts,
        testonly = testonly,
        visibility = visibility or ["//visibility:public"],
    )
    if native.glob([name + "-test.c++"]):
        nexus_cc_test(name = name + "-test", srcs = [name + "-test.c++"], deps = [":" + name] + deps + test_deps, data = test_data, size = test_size, tags = test_tags, copts = copts, args = test_args)

def nexus_cc_test(name, srcs = None, deps = [], data = [], size = "small", tags = [], copts = [], args = [], main = True, **kwargs):
    """A doctest program: name.c++ unless srcs says otherwise; main() comes from //tests/support:doctest-main unless main is False."""
    all_deps = []
    for d in deps + (["//tests/support:doctest-main"] if main else []):
        if d not in all_deps:
            all_deps.append(d)
    native.cc_test(name = name, srcs = srcs or [name + ".c++"], deps = all_deps, data = data, size = size, tags = tags, copts = COPTS + copts, args = args, **kwargs)

def nexus_cc_binary(name, srcs, deps = [], copts = [], visibility = None, **kwargs):
    native.cc_binary(name = name, srcs = srcs, deps = deps, copts = COPTS + copts, visibility = visibility or ["//visibility:public"], **kwargs)
