variable "repository" {
  type        = string
  description = "Name of the repository, without its owner."

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.repository))
    error_message = "The repository's name alone, without owner and slash."
  }
}

variable "environment" {
  type        = string
  description = "Name of the environment that deployments go through."
}

variable "branches" {
  type        = set(string)
  default     = ["main"]
  description = "Branches that may deploy to it."

  validation {
    condition     = length(var.branches) > 0
    error_message = "Without a branch nothing can be deployed."
  }
}

variable "reviewers" {
  type        = list(number)
  default     = []
  description = "Ids of the users who approve a deployment (gh api users/NAME --jq .id). Empty: nobody is asked."

  validation {
    condition     = length(var.reviewers) <= 6
    error_message = "GitHub takes six reviewers at most."
  }
}

variable "variables" {
  type        = map(string)
  default     = {}
  description = "Actions variables of the environment; everybody who can read the repository may see them."
}

variable "secret_names" {
  type        = set(string)
  default     = []
  description = "Actions secrets that must exist. Their values are set elsewhere and never known here."

  validation {
    condition     = alltrue([for n in var.secret_names : can(regex("^[A-Z_][A-Z0-9_]*$", n)) && !startswith(n, "GITHUB_")])
    error_message = "A secret's name is upper case and does not start with GITHUB_."
  }
}

variable "required_checks" {
  type        = set(string)
  default     = []
  description = "Jobs that must have passed before something is merged. Empty: the branch rules belong to another environment."
}

variable "required_approvals" {
  type        = number
  default     = 1
  description = "Approvals that a pull request needs; 0 for somebody who works alone."

  validation {
    condition     = var.required_approvals >= 0 && var.required_approvals <= 10
    error_message = "GitHub takes 0 to 10 approvals."
  }
}
