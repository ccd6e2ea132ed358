/** Why the authority does not do what it was asked for, for whoever asked and for the log. Closed list. */

export type RefusalCode =
  | 'token.malformed'
  | 'token.unknown'
  | 'token.expired'
  /** Used as often as it may be: also who comes second with a token for one. */
  | 'token.spent'
  /** It is for another namespace or account. */
  | 'token.elsewhere'
  | 'request.malformed'
  /** Not of this trust domain, or not one that may be had this way. */
  | 'identity.foreign'
  | 'identity.denied'
  /** A certificate that is none of a workload. */
  | 'certificate.malformed'
  | 'limit.reached'
  | 'rotation.busy'
  | 'rotation.impossible';

export interface Refusal {
  readonly refused: RefusalCode;
  /** Without secrets. Sentence case, no full stop. */
  readonly reason: string;
}

export function refusal(refused: RefusalCode, reason: string): Refusal {
  return { refused, reason };
}
