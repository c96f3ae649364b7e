// What judges the files of deploy/: node deploy_js.mjs JOB FILE; prints what is wrong, as a JSON list. Packages are those of the folder it is started in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const [job, file] = process.argv.slice(2);
const text = readFileSync(file, 'utf8');

function kubernetes() {
  return JSON.parse(text).flatMap((document) => {
    const Kind = require(`kubernetes-models/${document.apiVersion}`)[document.kind];
    try {
      new Kind(document).validate();
      return [];
    } catch (problem) {
      return [`${document.kind} ${document.metadata.name}: ${problem.message}`];
    }
  });
}

function dockerfile() {
  const { validate } = require('dockerfile-utils');
  return validate(text).map((found) => `line ${found.range.start.line + 1}: ${found.message}`);
}

async function terraform() {
  const { format } = require('@cdktf/hcl-tools');
  const { parse } = require('@cdktf/hcl2json');
  const told = await parse(file, text);
  return { formatted: (await format(text)) === text, told };
}

const jobs = { kubernetes, dockerfile, terraform };
console.log(JSON.stringify(await jobs[job]()));
process.exit(0); // the libraries keep a thread of theirs
