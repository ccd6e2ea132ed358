/**
 * Whether an answer is of the type that its path promises. Sites that serve
 * `/account/x.css` as `/account` can be made to keep a private page under a name
 * that looks public (web cache deception); so what looks like a file must be one.
 */

const TYPES: Readonly<Record<string, RegExp>> = {
  css: /^text\/css$/,
  js: /javascript$|^application\/ecmascript$/,
  mjs: /javascript$/,
  json: /json$/,
  xml: /xml$/,
  txt: /^text\/plain$/,
  csv: /^text\/(?:csv|plain)$/,
  pdf: /^application\/pdf$/,
  wasm: /^application\/wasm$/,
  map: /json$/,
  zip: /^application\/(?:x-)?zip/,
};

const IMAGES = /^image\//;
const FONTS = /^(?:font\/|application\/(?:x-)?font|application\/vnd\.ms-fontobject)/;
const MEDIA = /^(?:audio|video)\//;

const FAMILIES: readonly (readonly [extensions: string, type: RegExp])[] = [
  ['avif bmp gif ico jpeg jpg png svg tif tiff webp', IMAGES],
  ['eot otf ttf woff woff2', FONTS],
  ['aac flac m4a m4v mov mp3 mp4 mpeg oga ogg ogv wav weba webm', MEDIA],
];

const BY_EXTENSION: ReadonlyMap<string, RegExp> = new Map([
  ...Object.entries(TYPES),
  ...FAMILIES.flatMap(([extensions, type]) => extensions.split(' ').map((name) => [name, type] as const)),
]);

/** A download says what it is in a way that fits everything. */
const ANY_TYPE = /^(?:application\/octet-stream|binary\/octet-stream)$/;

export function fitsPath(path: string, contentType: string | undefined): boolean {
  const extension = /\.([A-Za-z0-9]{1,5})$/.exec(path)?.[1]?.toLowerCase();
  const want = extension === undefined ? undefined : BY_EXTENSION.get(extension);
  if (want === undefined) return true;
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return want.test(type) || ANY_TYPE.test(type);
}
