#!/bin/sh
# Pebble, a test server for ACME (Debian: pebble), and a DNS server that finds every name on this machine.
#
#     pebble.sh start FOLDER ACME-PORT MANAGEMENT-PORT DNS-PORT DNS-MANAGEMENT-PORT HTTP-PORT TLS-PORT
#     pebble.sh stop FOLDER
#
# FOLDER has acme.crt and acme.key for the server itself. HTTP-PORT and TLS-PORT are where it validates host names, which a
# public authority does on ports 80 and 443. root.crt is written there: it signs what Pebble issues, and is another one after
# each start.
set -eu

folder=$2
case $1 in
start)
  cd "$folder"
  cat >pebble.config <<END
{ "pebble": {
  "listenAddress": "127.0.0.1:$3", "managementListenAddress": "127.0.0.1:$4",
  "certificate": "acme.crt", "privateKey": "acme.key", "httpPort": $7, "tlsPort": $8,
  "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": 7776000
} }
END
  pebble-challtestsrv -dns01 "127.0.0.1:$5" -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -management "127.0.0.1:$6" \
    >/dev/null 2>&1 &
  echo $! >dns.pid
  PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=10 pebble -config pebble.config -dnsserver "127.0.0.1:$5" >pebble.log 2>&1 &
  echo $! >pebble.pid
  curl -s -o root.crt --retry 20 --retry-connrefused --retry-delay 1 --cacert ca.crt "https://localhost:$4/roots/0"
  ;;
stop)
  for part in pebble dns; do
    if [ -f "$folder/$part.pid" ]; then kill "$(cat "$folder/$part.pid")" 2>/dev/null || true; fi
    rm -f "$folder/$part.pid"
  done
  ;;
esac
