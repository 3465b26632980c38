#!/bin/sh
# os2vm OS2VM: two guests whose buses may use IPv6 alone. It is not enough that they meet: on both links every announcement and every
# segment of the session must have been IPv6.
set -eu
out=${TEST_UNDECLARED_OUTPUTS_DIR:-${TEST_TMPDIR:?}}
"$1" --out "$out" --phase remote --flag nexus.variant=ipv6

awk '
  function value(name) { return match($0, "\"" name "\": [0-9-]+") ? substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4) + 0 : -1 }
  value("udpDiscoveryIpv6") >= 0 {
    nodes++
    good += value("udpDiscoveryIpv6") > 0 && value("udpDiscoveryIpv6") == value("udpDiscovery") &&
            value("tcpSessionIpv6") > 0 && value("tcpSessionIpv6") == value("tcpSession")
  }
  END { exit !(nodes == 2 && good == 2) }
' "$out/summary.json" || {
  echo "FAIL  the bus did not keep to IPv6:"
  grep Ipv6 "$out/summary.json"
  exit 1
}
echo "PASS  every announcement and every segment of the session was IPv6"
