import { Type } from '../../schema/schema.ts';

const version = (description: string) => Type.Optional(Type.Enum(['TLSv1.2', 'TLSv1.3'], { description }));

/** Which TLS is spoken, in either direction. What OpenSSL makes of it is checked by the compiler. */
export const tlsPolicyFields = {
  versionMin: version('Oldest TLS version. Default: TLSv1.2.'),
  versionMax: version('Newest TLS version. Default: TLSv1.3.'),
  ciphers: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z0-9+!@=:_-]+$',
      expected: 'an OpenSSL cipher list such as "TLS_AES_128_GCM_SHA256:ECDHE+AESGCM"',
      description: 'OpenSSL list of cipher suites.',
    }),
  ),
  curves: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*$',
      expected: 'names of groups such as "X25519MLKEM768:X25519:P-256"',
      description: 'Groups for the key exchange, the favourite first.',
    }),
  ),
};
