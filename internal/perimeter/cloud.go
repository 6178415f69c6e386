package perimeter

// CloudPipeline is what to put into bitbucket-pipelines.yml of a repository at Bitbucket Cloud, which can't be connected. The
// image is one of the reader's own; nothing is downloaded by the step. The full clone is needed for the history to be scanned,
// and the step fails when secrets are found.
const CloudPipeline = `# The image holds git and, in its PATH, the magpie binary.
image: registry.example.com/magpie:latest

clone:
  depth: full

pipelines:
  default:
    - step:
        name: Look for secrets
        script:
          - magpie scan --no-progress .
`
