import type { Content } from './routes.ts';

/** Of paths that are about a mesh, where none is run. */
export const NO_MESH: Content = { status: 404, detail: 'This Fourways runs no mesh: start it with --mesh HOST:PORT' };
