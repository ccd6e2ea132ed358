/** Where the token of a request is, and whether a proof comes with it. */
import { AMBIGUOUS, type CredentialPlace, CredentialPlaces } from '../../filter/credential-places.ts';
import type { RequestHead } from '../../http/message.ts';

/** How a token came: `DPoP` says that a proof comes with it (RFC 9449 section 7.1). */
export interface Presented {
  readonly token: string;
  readonly scheme: 'bearer' | 'dpop';
}

export class TokenPlaces {
  readonly isInQuery: boolean;
  readonly #bare: CredentialPlaces;
  readonly #proven: CredentialPlaces;

  constructor(from: readonly CredentialPlace[]) {
    const proven = from.filter(isProven);
    // `Authorization: DPoP …` is the other spelling of `Bearer …` (RFC 9449 section 7.1).
    if (from.some(isBearer) && !proven.some(isAuthorization)) proven.push({ header: 'authorization', scheme: 'dpop' });
    this.#proven = new CredentialPlaces(proven);
    this.#bare = new CredentialPlaces(from.filter((place) => !isProven(place)));
    this.isInQuery = this.#bare.isInQuery;
  }

  read(request: RequestHead): Presented | typeof AMBIGUOUS | undefined {
    const bare = this.#bare.read(request);
    const proven = this.#proven.read(request);
    if (proven === undefined) {
      return typeof bare === 'string' ? { token: bare, scheme: 'bearer' } : bare;
    }
    return bare === undefined && proven !== AMBIGUOUS ? { token: proven, scheme: 'dpop' } : AMBIGUOUS;
  }

  hide(request: RequestHead): void {
    this.#bare.hide(request);
    this.#proven.hide(request);
  }
}

function isProven({ scheme }: CredentialPlace): boolean {
  return scheme?.toLowerCase() === 'dpop';
}

function isAuthorization({ header }: CredentialPlace): boolean {
  return header?.toLowerCase() === 'authorization';
}

function isBearer(place: CredentialPlace): boolean {
  return isAuthorization(place) && place.scheme?.toLowerCase() === 'bearer';
}
