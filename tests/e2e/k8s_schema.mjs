// SPDX-License-Identifier: Apache-2.0
// Objects against the schemas of their CustomResourceDefinitions. An API server drops
// fields that a schema does not know; here they are problems.

// {kind: schema of the version that is stored}
export function schemasOf(definitions) {
  return new Map(definitions.map(({ spec }) =>
    [spec.names.kind, spec.versions.find((version) => version.storage).schema.openAPIV3Schema]));
}

const TYPES = {
  object: (value) => value !== null && typeof value === "object" && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  integer: Number.isInteger,
};

// What is wrong with a value, a line each.
export function problemsOf(value, schema, where) {
  if (schema === undefined) return [`${where}: no such kind or field`];
  if (schema["x-kubernetes-int-or-string"]) {
    return TYPES.integer(value) || TYPES.string(value) ? [] : [`${where}: neither number nor string`];
  }
  if (schema.type && !TYPES[schema.type](value)) return [`${where}: is no ${schema.type}`];
  if (schema.type === "array") {
    return value.flatMap((item, index) => problemsOf(item, schema.items, `${where}[${index}]`));
  }
  return schema.type === "object" ? ofFields(value, schema, where) : ofScalar(value, schema, where);
}

function ofFields(value, schema, where) {
  const missing = (schema.required ?? []).filter((name) => !(name in value))
    .map((name) => `${where}: lacks ${name}`);
  const isOpen = schema["x-kubernetes-preserve-unknown-fields"] ||
    !schema.properties && !schema.additionalProperties;
  return Object.entries(value).reduce((found, [name, field]) => {
    const known = schema.properties?.[name] ?? schema.additionalProperties;
    return known === undefined && isOpen ? found
      : [...found, ...problemsOf(field, known, `${where}.${name}`)];
  }, missing);
}

function ofScalar(value, { enum: allowed, pattern, minLength, minimum, maximum }, where) {
  const wrong = allowed && !allowed.includes(value) || pattern && !new RegExp(pattern).test(value) ||
    value.length < minLength || value < minimum || value > maximum;
  return wrong ? [`${where}: ${value} is not allowed`] : [];
}
