/** Takes digits only, while `Number` also takes `1e3`, `0x10` and an empty text. Returns NaN for anything else. */
export const parseWholeNumber = (text: string) => (/^\d+$/.test(text) ? Number(text) : Number.NaN);
