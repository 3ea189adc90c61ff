const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]/g;

/** The first key that an object of a JSON text has twice: whoever reads it next may take the other value. The text is one that JSON.parse takes. */
export function duplicateKey(text: string): string | undefined {
  /** The keys of each open object; of a list there are none. */
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (isKey && token.startsWith('"')) {
      const keys = open.at(-1);
      const key = String(JSON.parse(token));
      if (keys?.has(key) === true) return key;
      keys?.add(key);
    }
    isKey = token === '{' || (token === ',' && open.at(-1) !== undefined);
  }
  return undefined;
}
