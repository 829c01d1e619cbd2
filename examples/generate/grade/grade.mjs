// node grade.mjs BASE_URL KEY CERT "METHOD PATH"…
//
// Has the responses of the server at BASE_URL graded: the whole of them by MDN's
// HTTP Observatory, their policy by Google's csp_evaluator too. Fails if one has
// less than an A+, fails a test, or has a policy with a finding that matters.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import { once } from "node:events";

const [base, key, cert, ...routes] = process.argv.slice(2);

// The Observatory asks which hosts browsers know to be HTTPS only. Its install
// script would download that list; this machine is not on it.
const preloaded = new URL("../conf/hsts-preload.json", import.meta.resolve("@mdn/mdn-http-observatory"));
if (!fs.existsSync(preloaded)) fs.writeFileSync(preloaded, "{}");
const { scan } = await import("@mdn/mdn-http-observatory");
const { CspEvaluator } = await import("csp_evaluator/dist/evaluator.js");
const { Severity } = await import("csp_evaluator/dist/finding.js");
const { CspParser } = await import("csp_evaluator/dist/parser.js");

// front is the TLS proxy that such a server has in production. Plain HTTP gets no
// answer there. Two things are for the Observatory, which only knows GET and gives
// up at a 404: what is graded is asked for by its own method, and "not found" is
// passed on as 200. The headers are passed on as they are.
function front(method) {
  const seen = {};
  const server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (request, response) => {
    const graded = request.method === "GET" && request.url !== "/robots.txt";
    const options = {
      method: graded ? method : request.method,
      headers: { ...request.headers, "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1" },
    };
    const upstream = http.request(new URL(request.url, base), options, (answer) => {
      if (graded) Object.assign(seen, { status: answer.statusCode, headers: answer.headers });
      response.writeHead(graded && answer.statusCode === 404 ? 200 : answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  });
  return { server, seen };
}

let failures = 0;
function line(ok, what, result, points = "") {
  if (!ok) failures++;
  console.log(`  ${ok ? "ok  " : "FAIL"} ${what.padEnd(30)} ${points.padStart(3)}  ${result}`);
}

for (const route of routes) {
  const [method, path] = route.split(" ");
  const { server, seen } = front(method);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { scan: grade, tests } = await scan(`localhost:${server.address().port}${path}`);
  server.close();

  console.log(`${route} (${seen.status})`);
  for (const [name, test] of Object.entries(tests)) {
    line(test.pass && test.scoreModifier >= 0, name, test.result, test.scoreModifier.toString());
  }
  line(grade.grade === "A+", "MDN HTTP Observatory", `${grade.grade}, ${grade.score} points, ${grade.testsPassed} of ${grade.testsQuantity} tests`);

  const policy = seen.headers["content-security-policy"] ?? "";
  const findings = new CspEvaluator(new CspParser(policy).csp).evaluate();
  for (const f of findings.filter((f) => f.severity < Severity.NONE)) {
    line(f.severity > Severity.MEDIUM, `${f.directive} ${f.value ?? ""}`.trim(), `${Severity[f.severity]}: ${f.description}`);
  }
  line(policy !== "", "Google csp_evaluator", policy ? `${findings.length} findings in ${policy}` : "no policy");
}
console.log(failures ? `${failures} of the lines above failed` : `A+ and no finding that matters, ${routes.length} times`);
process.exit(failures || !routes.length ? 1 : 0);
