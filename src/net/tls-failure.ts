/** Why TLS handshakes fail, in a closed list of words for metrics and logs. */
import { WORKLOAD_REFUSALS } from './workload-check.ts';

export const HANDSHAKE_FAILURES = [
  'timeout',
  'aborted',
  'overloaded',
  'not-tls',
  'malformed',
  'unknown-name',
  'no-certificate',
  'version',
  'cipher',
  'alpn',
  'client-certificate-missing',
  'client-certificate-invalid',
  ...WORKLOAD_REFUSALS,
  'refused-by-client',
  'failed',
] as const;

/** `refused-by-client`: it sent an alert, most often because it does not trust our certificate. */
export type HandshakeFailure = (typeof HANDSHAKE_FAILURES)[number];

/** By error code of Node, which is the reason string of OpenSSL. */
const BY_CODE: Readonly<Record<string, HandshakeFailure>> = {
  ECONNRESET: 'aborted',
  EPIPE: 'aborted',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'version',
  ERR_SSL_UNKNOWN_PROTOCOL: 'version',
  ERR_SSL_WRONG_VERSION_NUMBER: 'version',
  ERR_SSL_VERSION_TOO_LOW: 'version',
  ERR_SSL_NO_SHARED_CIPHER: 'cipher',
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: 'cipher',
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'cipher',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'alpn',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'client-certificate-missing',
};

export function handshakeFailureOf(error: NodeJS.ErrnoException): HandshakeFailure {
  const known = BY_CODE[error.code ?? ''];
  if (known !== undefined) return known;
  return /^ERR_SSL_(?:SSL|TLS)V?\d+_(?:\d+_)?ALERT_/.test(error.code ?? '') ? 'refused-by-client' : 'failed';
}
