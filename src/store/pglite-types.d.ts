/**
 * What we use of `@electric-sql/pglite` (named in `paths` of tsconfig.json). Its own
 * declarations need those of browsers and of Emscripten, which nothing else here does.
 */
export class PGlite {
  /** @param dataDir  a folder, or `memory://` */
  static create(dataDir: string, options?: { readonly loadDataDir?: Blob }): Promise<PGlite>;
  query<T>(sql: string, values?: readonly unknown[]): Promise<{ readonly rows: T[] }>;
  /** An archive of the data folder. */
  dumpDataDir(compression: 'none' | 'gzip'): Promise<Blob>;
  close(): Promise<void>;
}
