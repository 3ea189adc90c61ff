// Set by scripts/build.ts from package.json.
declare const TIERD_VERSION: string | undefined;

/** The version in package.json when this was built; run from source there is none. */
export const VERSION: string = typeof TIERD_VERSION === 'string' ? TIERD_VERSION : '0.0.0-source';
