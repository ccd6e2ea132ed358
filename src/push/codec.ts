/**
 * Protobuf messages by a table of their fields, on the reader and writer of
 * `@bufbuild/protobuf/wire`. Descriptors would do the same and cost a proxy
 * 100 ms at its start. Fields that the table does not name are passed over
 * (protobuf, "Unknown Fields"); a field that is left out has the value of
 * proto3: empty, 0, false, an empty list.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** `whole`: a uint64 that is at most 2^53 - 1. */
type Scalar = 'string' | 'bytes' | 'uint32' | 'whole' | 'bool';

type Field = readonly [number: number, type: Scalar | Shape] | readonly [number: number, type: Scalar | Shape, 'many'];

export interface Shape {
  readonly [field: string]: Field;
}

interface ScalarValues {
  readonly string: string;
  readonly bytes: Uint8Array;
  readonly uint32: number;
  readonly whole: number;
  readonly bool: boolean;
}

/** What is written; all of it may be left out. */
export type Written<S extends Shape> = {
  readonly [K in keyof S]?: S[K] extends readonly [number, infer T, 'many']
    ? readonly WrittenOne<T>[]
    : WrittenOne<S[K][1]> | undefined;
};
type WrittenOne<T> = T extends Scalar ? ScalarValues[T] : T extends Shape ? Written<T> : never;

/** What is read: complete, but for messages inside that were not there. */
export type Read<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends readonly [number, infer T, 'many']
    ? readonly ReadOne<T>[]
    : S[K][1] extends Shape
      ? Read<S[K][1]> | undefined
      : ReadOne<S[K][1]>;
};
type ReadOne<T> = T extends Scalar ? ScalarValues[T] : T extends Shape ? Read<T> : never;

/** Elements of one list in one message, so that two bytes on the wire cannot become a hundred in memory a million times. */
const LIST_MAX = 20_000;

/** Messages inside one another. */
const DEPTH_MAX = 8;

export function encodeMessage<S extends Shape>(shape: S, message: Written<S>): Uint8Array {
  return writeFields(new BinaryWriter(), shape, message).finish();
}

/** @returns in words what is wrong with the bytes */
export function decodeMessage<S extends Shape>(shape: S, bytes: Uint8Array): Read<S> | string {
  try {
    return readFields(new BinaryReader(bytes), { shape, end: bytes.length, depth: 0 }) as Read<S>;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function writeFields(writer: BinaryWriter, shape: Shape, message: Readonly<Record<string, unknown>>): BinaryWriter {
  for (const [name, [number, type, many]] of Object.entries(shape)) {
    const value = message[name];
    if (value === undefined) continue;
    if (many !== undefined) for (const item of value as readonly unknown[]) writeOne(writer, [number, type], item);
    else if (typeof type !== 'string' || !isDefault(value)) writeOne(writer, [number, type], value);
  }
  return writer;
}

function isDefault(value: unknown): boolean {
  return value === '' || value === 0 || value === false || (value instanceof Uint8Array && value.length === 0);
}

function writeOne(writer: BinaryWriter, [number, type]: readonly [number, Scalar | Shape], value: unknown): void {
  if (type === 'string') writer.tag(number, WireType.LengthDelimited).string(value as string);
  else if (type === 'bytes') writer.tag(number, WireType.LengthDelimited).bytes(value as Uint8Array);
  else if (type === 'uint32') writer.tag(number, WireType.Varint).uint32(value as number);
  else if (type === 'whole') writer.tag(number, WireType.Varint).uint64(value as number);
  else if (type === 'bool') writer.tag(number, WireType.Varint).bool(value as boolean);
  else {
    writer.tag(number, WireType.LengthDelimited).fork();
    writeFields(writer, type, value as Readonly<Record<string, unknown>>).join();
  }
}

interface Span {
  readonly shape: Shape;
  /** Offset of the first byte after the message. */
  readonly end: number;
  readonly depth: number;
}

const byNumber = new WeakMap<Shape, ReadonlyMap<number, readonly [name: string, field: Field]>>();

function fieldsOf(shape: Shape): ReadonlyMap<number, readonly [name: string, field: Field]> {
  let fields = byNumber.get(shape);
  if (fields === undefined) {
    fields = new Map(Object.entries(shape).map(([name, field]) => [field[0], [name, field]]));
    byNumber.set(shape, fields);
  }
  return fields;
}

function readFields(reader: BinaryReader, { shape, end, depth }: Span): Readonly<Record<string, unknown>> {
  if (depth > DEPTH_MAX) throw new RangeError('Messages are nested too deeply');
  const read: Record<string, unknown> = {};
  for (const [name, [, type, many]] of Object.entries(shape)) read[name] = many === undefined ? nothingOf(type) : [];
  const fields = fieldsOf(shape);
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const [name, field] = fields.get(number) ?? [];
    // Of another wire type than the table says, it is a field that we do not know.
    if (name === undefined || wireType !== wireTypeOf(field![1])) {
      reader.skip(wireType, number);
      continue;
    }
    const value = readOne(reader, field![1], depth);
    if (field![2] === undefined) read[name] = value;
    else if ((read[name] as unknown[]).push(value) > LIST_MAX) throw new RangeError(`"${name}" has too many elements`);
  }
  if (reader.pos > end) throw new RangeError('A field ends behind its message');
  return read;
}

function readOne(reader: BinaryReader, type: Scalar | Shape, depth: number): unknown {
  if (type === 'string') return reader.string(true);
  if (type === 'bytes') return reader.bytes();
  if (type === 'uint32') return reader.uint32();
  if (type === 'bool') return reader.bool();
  if (type === 'whole') {
    const value = Number(reader.uint64());
    if (!Number.isSafeInteger(value)) throw new RangeError('A number is too large');
    return value;
  }
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw new RangeError('A message is cut off');
  return readFields(reader, { shape: type, end: reader.pos + length, depth: depth + 1 });
}

function nothingOf(type: Scalar | Shape): unknown {
  if (type === 'string') return '';
  if (type === 'bytes') return NO_BYTES;
  if (type === 'uint32' || type === 'whole') return 0;
  return type === 'bool' ? false : undefined;
}

const NO_BYTES = new Uint8Array(0);

function wireTypeOf(type: Scalar | Shape): WireType {
  return type === 'uint32' || type === 'whole' || type === 'bool' ? WireType.Varint : WireType.LengthDelimited;
}
