/** What both ends of a TLS connection have shown each other, read from the connection itself when somebody wants to know. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ConnectionTls, ShownCertificate } from '../../ir/connection.ts';
import { namesOf } from '../../net/certificate.ts';

/** Only for this: a value that is shown must not be good for anything else (RFC 5705 section 4). */
const LABEL = 'EXPORTER-fourways-verify';
const BINDING_BYTES = 16;

const NO_CONTEXT = Buffer.alloc(0);

/** @param peer  what was shown and verified; undefined for nothing */
export function tlsFactsOf(socket: TLSSocket, peer: X509Certificate | undefined): ConnectionTls {
  const own = socket.getX509Certificate();
  const group = groupOf(socket);
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.standardName ?? '',
    ...(group !== undefined && { group }),
    speaks: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    resumed: socket.isSessionReused(),
    binding: socket.exportKeyingMaterial(BINDING_BYTES, LABEL, NO_CONTEXT).toString('hex'),
    ...(own !== undefined && { own: shownOf(own) }),
    ...(peer !== undefined && { peer: shownOf(peer) }),
  };
}

function shownOf(certificate: X509Certificate): ShownCertificate {
  const { uri, dns, ip } = namesOf(certificate);
  return {
    identity: uri.find((name) => name.startsWith('spiffe://')) ?? dns[0] ?? ip[0] ?? '',
    serial: certificate.serialNumber.toLowerCase(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** Node tells it to the end that connected; the other one gets nothing. */
function groupOf(socket: TLSSocket): string | undefined {
  const info = socket.getEphemeralKeyInfo() as { readonly name?: string } | null;
  return info?.name;
}
