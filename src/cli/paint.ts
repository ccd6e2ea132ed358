import { styleText } from 'node:util';

/** Whether colours may be used. */
export interface Palette {
  readonly colour: boolean;
}

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** `text` in a colour, or as it is where colours must not be used. */
export function paint(palette: Palette, format: Paint, text: string): string {
  // The stream was judged by whoever made the palette: a pipe, NO_COLOR and tests all end there.
  return palette.colour ? styleText(format, text, { validateStream: false }) : text;
}
