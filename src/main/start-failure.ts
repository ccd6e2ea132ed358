/** The process cannot run; the message says why, in one line or several. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
}
