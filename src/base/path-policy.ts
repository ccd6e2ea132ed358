/** What is done to a path before it is routed; the result is also what is forwarded. See docs/guide/path-normalisation.md. */
export interface PathPolicy {
  /** `.` and `..` segments, also as `%2e`. */
  readonly dotSegments: 'resolve' | 'refuse';
  /** `%2f` and `%5c`. `keep`: opaque, never a separator. */
  readonly encodedSlash: 'keep' | 'decode' | 'refuse';
  /** `//`. */
  readonly emptySegments: 'keep' | 'merge' | 'refuse';
  /** A raw backslash, which some servers read as a slash. */
  readonly backslash: 'refuse' | 'slash';
  /** `;name=value` path parameters, which some servers strip before they look at the path. */
  readonly parameters: 'keep' | 'refuse';
  /** Percent-encoded bytes that are not UTF-8, and `%00`. */
  readonly invalidUtf8: 'refuse' | 'keep';
}
