import { ADDRESS_UNIT_BYTES } from '../../numa/page-size.ts';

/** Size of the pages that this engine knows, which is that of the kernel's: prepare() refuses others. */
export const PAGE_BYTES = ADDRESS_UNIT_BYTES;
