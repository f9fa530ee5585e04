// SPDX-License-Identifier: Apache-2.0
// Read rendered manifests; check what every pod of ours must have; write each object as a
// typed TypeScript literal, and the flags of our containers, a "command flag" a line.
//
// usage: node k8s_manifests.mjs <all.yaml> <typed.ts> <flags>
import { readFileSync, writeFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

const [input, typed, flagList] = process.argv.slice(2);
const objects = parseAllDocuments(readFileSync(input, "utf8")).map((document) => {
  if (document.errors.length > 0) throw document.errors[0];
  return document.toJS();
});

const problems = [];
function expect(condition, where, what) {
  if (!condition) problems.push(`${where}: ${what}`);
}

// apiVersion "apps/v1" lives in the module "apps/v1", "v1" in "core/v1".
function literal(object, index) {
  const module = object.apiVersion.includes("/") ? object.apiVersion : `core/${object.apiVersion}`;
  return `import { ${object.kind} as T${index} } from "kubernetes-types/${module}";
export const object${index}: T${index} = ${JSON.stringify(object, null, 2)};\n`;
}

function checkContainer(pod, container, where) {
  const security = { ...pod.securityContext, ...container.securityContext };
  expect(security.runAsNonRoot === true, where, "may run as root");
  expect(security.readOnlyRootFilesystem === true, where, "may write to its image");
  expect(security.allowPrivilegeEscalation === false, where, "may gain privileges");
  expect(security.capabilities?.drop?.includes("ALL"), where, "keeps capabilities");
  expect(security.seccompProfile?.type === "RuntimeDefault", where, "has no seccomp profile");
  for (const probe of ["livenessProbe", "readinessProbe"]) {
    const port = container[probe]?.httpGet?.port;
    expect(container.ports.some((one) => one.name === port), where, `${probe} has no port`);
  }
  expect(container.resources?.requests?.memory, where, "requests no memory");
  expect(container.resources?.limits?.memory, where, "has no memory limit");
  for (const mount of container.volumeMounts) {
    expect(pod.volumeNames.has(mount.name), where, `mounts unknown volume ${mount.name}`);
  }
}

function checkPod(set, where) {
  const pod = set.spec.template.spec;
  pod.volumeNames = new Set(
    [...pod.volumes, ...set.spec.volumeClaimTemplates.map((claim) => claim.metadata)]
      .map((volume) => volume.name));
  expect(pod.automountServiceAccountToken === false, where, "mounts an API token");
  expect(pod.terminationGracePeriodSeconds >= 30, where, "is killed before it can stop");
  for (const container of pod.containers) {
    checkContainer(pod, container, `${where}, container ${container.name}`);
  }
  delete pod.volumeNames;
  return pod;
}

function mountOf(container, path) {
  return container.volumeMounts.find((mount) => mount.mountPath === path)?.name;
}

function ours(pods) {
  return pods.flatMap((pod) => pod.containers).filter((one) => one.image.startsWith("blockhouse:"));
}

const sets = objects.filter((object) => object.kind === "StatefulSet");
const pods = sets.map((set) => checkPod(set, `StatefulSet ${set.metadata.name}`));
const withSidecar = pods.find((pod) => pod.containers.length === 2);
const [prometheus, sidecar] = withSidecar.containers;
expect(mountOf(prometheus, "/prometheus") === mountOf(sidecar, "/prometheus"), "sidecar",
       "does not share Prometheus's volume");
expect(ours(pods).map((one) => one.args[0]).sort().join() === "sidecar,store", "containers",
       "are not one sidecar and one store");
const secrets = new Set(pods.flatMap((pod) => pod.volumes).map((one) => one.secret?.secretName)
  .filter(Boolean));
expect(secrets.size === 1 && objects.some((object) => object.kind === "Secret" &&
       secrets.has(object.metadata.name)), "Secret", "is not one that both read");
for (const service of objects.filter((object) => object.kind === "Service")) {
  const labels = sets.map((set) => set.spec.template.metadata.labels);
  expect(labels.some((one) => Object.entries(service.spec.selector)
    .every(([name, value]) => one[name] === value)), `Service ${service.metadata.name}`,
         "selects nothing");
}

writeFileSync(typed, objects.map(literal).join(""));
writeFileSync(flagList, ours(pods).flatMap((container) => container.args.slice(1)
  .map((flag) => `${container.args[0]} ${flag.replace(/^--/, "").split("=")[0]}\n`)).join(""));
if (problems.length > 0) {
  console.log(problems.join("\n"));
  process.exit(1);
}
