import { KernelFormatError } from './errors.ts';

/** A non-negative decimal integer as kernel files print it. Throws KernelFormatError naming `path`. */
export function parseDecimal(text: string, path: string): number {
  const value = Number(text.trim());
  if (!/^\d+$/.test(text.trim()) || !Number.isSafeInteger(value)) {
    throw new KernelFormatError(path, text, 'a decimal number');
  }
  return value;
}

/** A hexadecimal integer, with or without "0x". Throws KernelFormatError naming `path`. */
export function parseHex(text: string, path: string): number {
  const digits = text.trim().replace(/^0x/i, '');
  const value = Number.parseInt(digits, 16);
  if (!/^[0-9a-f]+$/i.test(digits) || !Number.isSafeInteger(value)) {
    throw new KernelFormatError(path, text, 'a hexadecimal number');
  }
  return value;
}
