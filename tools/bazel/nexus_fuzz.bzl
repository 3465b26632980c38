"""nexus_fuzz_target: one LLVMFuzzerTestOneInput, run in two ways."""

load(":nexus_cc.bzl", "COPTS", "nexus_cc_test")

def nexus_fuzz_target(name, deps, srcs = None, corpus = [], rounds = 20000):
    """name.c++ defines LLVMFuzzerTestOneInput and aborts on a broken promise.

    :name         libFuzzer with ASan+UBSan, by hand: bazelw run --config=fuzz //pkg:name -- -max_total_time=60 CORPUS_FOLDER
    :name-smoke   the same function over the corpus and `rounds` seeded mutations of it, in every `bazelw test`
    """
    sources = srcs or [name + ".c++"]
    flags = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize=vptr,function"]
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = sources,
        copts = COPTS + flags,
        linkopts = flags,
        tags = ["manual"],
        deps = deps,
    )
    nexus_cc_test(
        name = name + "-smoke",
        srcs = sources + ["//tests/support:fuzz-smoke.c++"],
        data = corpus,
        args = ["--rounds=%d" % rounds] + ["$(locations %s)" % c for c in corpus],
        deps = deps + ["//libs/nexus-net-os/testing:fixed-entropy", "@capnproto//:kj"],
        main = False,
    )
