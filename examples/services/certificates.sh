#!/bin/sh
# Certificates for trying things out: a CA and what it signs, as files, and as manifests for the gateway.
#
#     certificates.sh FOLDER NAME:USE:HOST...
#
# Writes NAME.crt and NAME.key. With USE "secret" (ECDSA) or "secret-rsa" also NAME.yaml, a Secret for a listener; "file"
# is for a service of ours; "client" for somebody who calls (HOST is the common name, or a SPIFFE ID); "secret-client" for the
# gateway when it calls. With "crl" NAME.crl, a list of what was taken back: HOST is NAME,NAME of those, or - for none. ca.crt signs all of them, and ca.yaml is a ConfigMap that holds it; it stays as long as it is good.
# What is there is replaced at once, so a gateway that watches the folder never reads half a file.
set -eu
umask 077

days=30 # of the CA and of what it signs
folder=$1
shift
mkdir -p "$folder"
cd "$folder"

indented() { sed 's/^/    /' "$1"; }

if ! openssl x509 -in ca.crt -noout -checkend 86400 >/dev/null 2>&1; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days $days \
    -subj '/CN=Example CA' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
  cat >.ca.yaml <<END
apiVersion: v1
kind: ConfigMap
metadata:
  name: ca
data:
  ca.crt: |
$(indented ca.crt)
END
  mv .ca.yaml ca.yaml
fi

for wanted in "$@"; do
  name=${wanted%%:*}
  rest=${wanted#*:}
  use=${rest%%:*}
  host=${rest#*:}
  if [ "$use" = crl ]; then
    : >.index
    for who in $(echo "$host" | tr ',-' '  '); do
      serial=$(openssl x509 -in "$who.crt" -noout -serial)
      printf 'R\t491231235959Z\t250101000000Z\t%s\tunknown\t/CN=%s\n' "${serial#*=}" "$who" >>.index
    done
    printf '[ca]\ndefault_ca=c\n[c]\ndatabase=.index\ncertificate=ca.crt\nprivate_key=ca.key\ndefault_md=sha256\n' >.cnf
    openssl ca -config .cnf -gencrl -crldays $days -out .crl 2>/dev/null
    mv .crl "$name.crl"
    rm -f .index* .cnf
    continue
  fi
  case $use in
    secret-rsa) key='-newkey rsa:2048' ;;
    *) key='-newkey ec -pkeyopt ec_paramgen_curve:P-256' ;;
  esac
  case $use in
    *client) names='extendedKeyUsage=clientAuth' ;;
    *) names="extendedKeyUsage=serverAuth
subjectAltName=DNS:$host" ;;
  esac
  case $host in
    spiffe://*)
      names="$names
subjectAltName=URI:$host"
      host=$name
      ;;
  esac
  printf 'basicConstraints=critical,CA:FALSE\n%s\n' "$names" >.ext
  # shellcheck disable=SC2086 # several words
  openssl req $key -nodes -keyout .key -out .csr -subj "/CN=$host" 2>/dev/null
  openssl x509 -req -in .csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $days -extfile .ext -out .crt 2>/dev/null
  case $use in
    secret*)
      cat >.yaml <<END
apiVersion: v1
kind: Secret
metadata:
  name: $name
type: kubernetes.io/tls
stringData:
  tls.crt: |
$(indented .crt)
  tls.key: |
$(indented .key)
END
      mv .yaml "$name.yaml"
      ;;
  esac
  mv .key "$name.key"
  mv .crt "$name.crt"
  rm -f .csr .ext
done
