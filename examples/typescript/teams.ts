/** Imported by the configuration: when this file changes, the configuration runs again. */
export interface Team {
  readonly name: string;
  readonly service: 'tea' | 'coffee';
  /** Percent of the requests that go to the new site. */
  readonly beta: number;
}

export const teams: readonly Team[] = [
  { name: 'green', service: 'tea', beta: 0 },
  { name: 'black', service: 'tea', beta: 0 },
  { name: 'espresso', service: 'coffee', beta: 0 },
];
