/**
 * Names of browsers that the declarations of `@peculiar/x509` use: Node has the same things
 * under `webcrypto` and does not declare them as globals.
 */
import type { webcrypto } from 'node:crypto';

declare global {
  type BufferSource = ArrayBuffer | ArrayBufferView;
  type Algorithm = webcrypto.Algorithm;
  type AlgorithmIdentifier = webcrypto.AlgorithmIdentifier;
  type CryptoKeyPair = webcrypto.CryptoKeyPair;
  type EcKeyGenParams = webcrypto.EcKeyGenParams;
  type EcKeyImportParams = webcrypto.EcKeyImportParams;
  type EcdsaParams = webcrypto.EcdsaParams;
  type KeyUsage = webcrypto.KeyUsage;
  type RsaHashedImportParams = webcrypto.RsaHashedImportParams;
}
