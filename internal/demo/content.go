package demo

// projectSpec and repoSpec say what the instance holds, as data.
type projectSpec struct {
	key, name string // a key "~SLUG" is that user's personal project
	repos     []repoSpec
}

type repoSpec struct {
	name    string
	lang    string
	folder  string // of the source files, with a final slash, or empty
	modules []string
	commits int // on the main branch, about
	leaks   []leak
}

// leak is a secret that somebody commits at some point of a history.
type leak struct {
	kind    string
	name    string // leaks of one name share one secret; empty for a secret of its own
	file    string
	body    string // of the file, with a mark where the secret belongs
	message string
	at      int    // before which commit of the main branch
	until   int    // when it is taken out again; 0 for never
	deleted bool   // it is taken out by deleting the file
	branch  string // committed on this branch, which is never merged
	tag     string // committed where only this tag leads
}

var projects = []projectSpec{
	{key: "PAY", name: "Payments", repos: []repoSpec{
		{
			name: "checkout-service", lang: "go", folder: "internal/", modules: []string{"cart", "checkout", "refund", "server"}, commits: 34,
			leaks: []leak{
				{
					kind: "stripe", file: "internal/config.go", at: 6, until: 9, message: "Read settings in one place",
					body: "package internal\n\n// Settings of the payment provider.\nconst (\n\tCurrency = \"EUR\"\n\tStripeKey = \"" + mark + "\"\n)\n",
				},
				{
					kind: "slack", name: "build-bot", file: "scripts/notify.sh", at: 21, message: "Tell the channel about releases",
					body: "#!/bin/sh\n# Posts the release into the channel.\nSLACK_BOT_TOKEN=" + mark + "\ncurl --fail --data \"text=$1\" https://chat.example.com/api/post\n",
				},
			},
		},
		{
			name: "ledger", lang: "java", folder: "src/main/java/com/example/ledger/", modules: []string{"booking", "balance", "closing"}, commits: 38,
			leaks: []leak{
				{
					kind: "postgres", file: "src/main/resources/application.properties", at: 3, message: "Connect to the database",
					body: "spring.application.name=ledger\nspring.jpa.open-in-view=false\nspring.datasource.url=" + mark + "\nspring.datasource.hikari.maximum-pool-size=12\n",
				},
				{
					kind: "npm", file: ".npmrc", at: 17, until: 18, deleted: true, message: "Publish the client",
					body: "registry=https://registry.example.com/\n//registry.npmjs.org/:_authToken=" + mark + "\n",
				},
			},
		},
		{name: "payment-pages", lang: "typescript", folder: "src/", modules: []string{"form", "receipt", "methods"}, commits: 26, leaks: []leak{
			{
				kind: "google", file: "src/map.ts", at: 14, branch: "spike/store-finder", message: "Try a map of the stores",
				body: "// Only a trial.\nexport const mapKey = '" + mark + "';\nexport const zoom = 12;\n",
			},
		}},
	}},
	{key: "OPS", name: "Platform", repos: []repoSpec{
		{
			name: "infrastructure", lang: "terraform", folder: "modules/", modules: []string{"network", "cluster", "storage", "dns", "backup"}, commits: 48,
			leaks: []leak{
				{
					kind: "aws-id", file: "environments/staging/credentials.ini", at: 8, until: 30, deleted: true, message: "Staging for the new region",
					body: "[staging]\nregion = eu-central-1\naws_access_key_id = " + mark + "\noutput = json\n",
				},
				{
					kind: "aws-secret", file: "environments/test/export.sh", at: 27, message: "Export the variables for tests",
					body: "#!/bin/sh\nexport AWS_REGION=eu-central-1\nexport AWS_SECRET_ACCESS_KEY=" + mark + "\n",
				},
				{kind: "key", file: "keys/deploy.pem", at: 12, until: 13, deleted: true, message: "Deploy from the build machine", body: mark + "\n"},
			},
		},
		{name: "deploy-tools", lang: "python", folder: "tools/", modules: []string{"rollout", "inventory", "verify"}, commits: 32, leaks: []leak{
			{
				kind: "slack", name: "build-bot", file: "tools/chat.py", at: 25, message: "Announce rollouts",
				body: "\"\"\"Announces rollouts in the channel.\"\"\"\n\nCHANNEL = \"#rollouts\"\nBOT_TOKEN = \"" + mark + "\"\n",
			},
			{
				kind: "github", file: "tools/mirror.py", at: 10, tag: "v0.1-mirror", message: "Mirror the public repositories",
				body: "\"\"\"Mirrors repositories; superseded by the scheduler.\"\"\"\n\nTOKEN = \"" + mark + "\"\nEVERY = 3600\n",
			},
		}},
		{name: "monitoring", lang: "shell", folder: "checks/", modules: []string{"disk", "certificates", "queues"}, commits: 24, leaks: []leak{
			{
				kind: "sendgrid", file: "alertmanager.yml", at: 11, until: 15, message: "Send alerts by mail",
				body: "route:\n  receiver: mail\nreceivers:\n  - name: mail\n    email_configs:\n      - smarthost: smtp.example.com:587\n        auth_password: " + mark + "\n",
			},
		}},
	}},
	{key: "SHOP", name: "Shop", repos: []repoSpec{
		{name: "storefront", lang: "typescript", folder: "app/", modules: []string{"home", "catalogue", "basket", "account"}, commits: 42, leaks: []leak{
			{
				kind: "github", file: "Dockerfile", at: 19, until: 26, message: "Install the private packages",
				body: "FROM node:22\nWORKDIR /app\nENV NPM_CONFIG_UPDATE_NOTIFIER=false\nENV GITHUB_TOKEN=" + mark + "\nCOPY . .\nRUN npm ci\n",
			},
		}},
		{name: "search-api", lang: "python", folder: "search/", modules: []string{"index", "query", "ranking"}, commits: 30, leaks: []leak{
			{
				kind: "gitlab", file: "search/fetch.py", at: 22, branch: "try/other-source", message: "Fetch from the old host",
				body: "import os\n\nHOST = \"https://old.example.com\"\nHEADERS = {\"PRIVATE-TOKEN\": \"" + mark + "\"}\nTIMEOUT = 20\n",
			},
		}},
		{name: "product-data", lang: "go", folder: "feed/", modules: []string{"reader", "price", "stock"}, commits: 28},
	}},
	{key: "~ALEX", name: "Alex", repos: []repoSpec{
		{name: "dotfiles", lang: "shell", folder: "bin/", modules: []string{"setup", "backup"}, commits: 18, leaks: []leak{
			{
				kind: "github", file: ".config/gh/hosts.yml", at: 5, message: "All my settings",
				body: "github.com:\n  user: alex\n  git_protocol: https\n  oauth_token: " + mark + "\n",
			},
		}},
		{name: "experiments", lang: "python", folder: "notebooks/", modules: []string{"forecast", "cleaning"}, commits: 20},
	}},
}

// liveTexts are what secrets are pushed in while somebody watches. The number in the name makes each file new.
var liveTexts = []struct{ file, text string }{
	{"config/local-%d.env", "LOG_LEVEL=debug\nTOKEN=" + mark + "\nTIMEOUT=30\n"},
	{"scripts/try-%d.sh", "#!/bin/sh\nset -eu\nexport TOKEN=" + mark + "\n./run --once\n"},
	{"deploy/override-%d.yaml", "service:\n  replicas: 2\n  env:\n    token: " + mark + "\n"},
}

// hasty are the messages of those commits.
var hasty = []string{"Make it work", "Fix the build", "Try again", "Debug the pipeline", "Quick fix"}
