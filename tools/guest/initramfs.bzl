"""nexus_initramfs: the root file system of a guest from our binaries, the kernel's modules, configurations and bundles."""

def nexus_initramfs(name, programs, out, testonly = False):
    """programs: labels of binaries, the first one is PID 1. Everything else in the image is the same for every guest."""
    manifest = ["link /init /bin/" + programs[0].split(":")[1]]
    for program in programs:
        manifest.append("program %s $(location %s)" % (program.split(":")[1], program))
    native.genrule(
        name = name,
        srcs = programs + ["@guest_kernel//:modules", ":etc", ":bundles"],
        outs = [out],
        tools = [":make-initramfs.sh"],
        cmd = "{ printf '%s\\n' " + " ".join(["'%s'" % line for line in manifest]) + "; " +
              "for f in $(locations @guest_kernel//:modules); do echo file /lib/modules/$${f##*/modules/} $$f; done; " +
              "for f in $(locations :etc); do echo file /etc/nexus/$${f##*tools/guest/etc/} $$f; done; " +
              "for f in $(locations :bundles); do echo file /var/lib/nexus/bundles/$${f##*tools/guest/bundles/} $$f; done; " +
              # The same files without their version, as packagefsd serves them: pkg:/NAME/FILE.
              "for f in $(locations :bundles); do rest=$${f##*tools/guest/bundles/}; name=$${rest%%/*}; rest=$${rest#*/}; " +
              "echo file /var/lib/nexus/packages/$$name/$${rest#*/} $$f; done; " +
              "} | $(location :make-initramfs.sh) $@",
        testonly = testonly,
        visibility = ["//visibility:public"],
    )
