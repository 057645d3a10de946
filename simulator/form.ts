/** A request's multipart form, as the model APIs and tests see it. */
import {createHash} from 'node:crypto';
import {refuse, type Refusal} from './errors.ts';

export type FormFile = {field: string; name: string; contentType: string; size: number; sha256: string};

/** Values by field, in their order; a field that stands twice has two. */
export type ReceivedForm = {fields: Record<string, string[]>; files: FormFile[]};

export const isForm = (contentType: string | undefined): contentType is string =>
  contentType !== undefined && /^\s*multipart\/form-data\b/i.test(contentType);

const fileOf = async (field: string, file: File): Promise<FormFile> => ({
  field,
  name: file.name,
  contentType: file.type,
  size: file.size,
  sha256: createHash('sha256')
    .update(new Uint8Array(await file.arrayBuffer()))
    .digest('hex'),
});

/** undefined: no form could be read. */
export const readForm = async (
  contentType: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<ReceivedForm | undefined> => {
  let data: FormData;
  try {
    data = await new Response(body, {headers: {'content-type': contentType}}).formData();
  } catch {
    return undefined;
  }
  // Without a prototype, so that no field is there that was not sent.
  const form: ReceivedForm = {fields: Object.create(null) as ReceivedForm['fields'], files: []};
  for (const [field, value] of data) {
    if (typeof value === 'string') (form.fields[field] ??= []).push(value);
    else form.files.push(await fileOf(field, value));
  }
  return form;
};

/** The last of a field's values, as most servers read it; empty if there is none. */
export const valueOf = ({fields}: ReceivedForm, field: string): string => fields[field]?.at(-1) ?? '';

export const numberIn = (form: ReceivedForm, field: string): number | undefined => {
  const value = valueOf(form, field);
  return /^\d+$/.test(value) ? Number(value) : undefined;
};

export const missing = (param: string): Refusal =>
  refuse(400, {message: `Missing required parameter: '${param}'.`, param, code: 'missing_required_parameter'});

export const fieldIsMissing = (form: ReceivedForm, field: string): Refusal | undefined =>
  valueOf(form, field) === '' ? missing(field) : undefined;

/** A file may stand alone, as `image`, or in a list, as `image[]`. */
export const fileIsMissing = (form: ReceivedForm, field: string): Refusal | undefined =>
  form.files.some((file) => file.field.replace(/\[\d*\]$/, '') === field) ? undefined : missing(field);
