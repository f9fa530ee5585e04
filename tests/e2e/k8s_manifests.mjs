// SPDX-License-Identifier: Apache-2.0
// Read rendered overlays and the values for charts; check what everything of ours must
// have; write what other programs check: each object as a typed TypeScript literal, and
// the containers as a cluster would start them.
//
// usage: node k8s_manifests.mjs <folder of overlay.yaml> <folder of CRDs> <folder of values>
//            <typed.ts> <containers.json>
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { containersOf, Overlay, checkContainer } from "./k8s_rules.mjs";
import { schemasOf, problemsOf } from "./k8s_schema.mjs";

const [overlayFolder, crdFolder, valuesFolder, typed, containerList] = process.argv.slice(2);
const CUSTOM = "monitoring.coreos.com/";
const problems = [];

function yamlFiles(folder) {
  return readdirSync(folder).filter((name) => name.endsWith(".yaml")).sort()
    .map((name) => ({ name: basename(name, ".yaml"), text: readFileSync(join(folder, name), "utf8") }));
}

function documents(text) {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  });
}

// apiVersion "apps/v1" lives in the module "apps/v1", "v1" in "core/v1", and
// "rbac.authorization.k8s.io/v1" in "rbac/v1".
function literal(object, index) {
  const [group, version] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["core", object.apiVersion];
  return `import { ${object.kind} as T${index} } from "kubernetes-types/${group.split(".")[0]}/${version}";
export const object${index}: T${index} = ${JSON.stringify(object, null, 2)};\n`;
}

const schemas = schemasOf(yamlFiles(crdFolder).flatMap((file) => documents(file.text)));
const literals = [];
const containers = [];
for (const { name, text } of yamlFiles(overlayFolder)) {
  const objects = documents(text);
  for (const object of objects) {
    const where = `${name}: ${object.kind} ${object.metadata.name}`;
    if (object.apiVersion.startsWith(CUSTOM)) {
      problems.push(...problemsOf(object, schemas.get(object.kind), where));
    } else {
      literals.push(literal(object, literals.length));
    }
  }
  const overlay = new Overlay(name, objects);
  problems.push(...overlay.check());
  containers.push(...containersOf(overlay));
}

// What of the charts' values is not theirs but that of Kubernetes or of the operator.
const values = Object.fromEntries(yamlFiles(valuesFolder).map(({ name, text }) => [name, parse(text)]));
const { thanos, ...ofSpec } = values["kube-prometheus-stack"].prometheus.prometheusSpec;
const { objectStorageConfig, ...ofThanos } = thanos;
const { storageSpec, ...spec } = ofSpec;
problems.push(...problemsOf(
  { spec: { ...spec, storage: storageSpec, thanos: { ...ofThanos, objectStorageConfig: objectStorageConfig.existingSecret } } },
  schemas.get("Prometheus"), "kube-prometheus-stack"));
const { server } = values.prometheus;
const sidecar = { name: "blockhouse", ...server.sidecarContainers.blockhouse };
problems.push(...checkContainer({ volumes: ["storage-volume", ...server.extraVolumes.map((one) => one.name)] },
  sidecar, "values of prometheus"));
literals.push(`import { Container } from "kubernetes-types/core/v1";
export const sidecar: Container = ${JSON.stringify(sidecar, null, 2)};\n`);
const { storegateway } = values["bitnami-thanos"];
for (const [set, args, mounts] of [
  ["prometheus", sidecar.args, [{ path: server.persistentVolume.mountPath }, { path: "/etc/blockhouse" }]],
  ["bitnami-thanos", ["store", "--log.level=info", "--log.format=logfmt", "--grpc-address=0.0.0.0:10901",
    "--http-address=0.0.0.0:10902", "--data-dir=/data", "--objstore.config-file=/conf/objstore.yml",
    ...storegateway.extraFlags], [{ path: "/data" }, { path: "/conf" }]],
]) {
  containers.push({ overlay: "helm", set, name: set, ours: true, command: [], args, env: {}, mounts });
}

writeFileSync(typed, literals.join(""));
writeFileSync(containerList, JSON.stringify(containers, null, 1));
if (problems.length > 0) {
  console.log(problems.join("\n"));
  process.exit(1);
}
console.log(`${literals.length} typed objects, ${containers.length} containers`);
