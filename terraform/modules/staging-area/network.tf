# A network of its own: replication servers need DRS, EC2 and S3, and nothing else.
resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = "drs-staging-area" }
}

# Without a rule of its own, so that whatever is given no security group reaches nothing.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "this" {
  availability_zone       = "${var.region}a"
  cidr_block              = var.cidr
  map_public_ip_on_launch = false
  vpc_id                  = aws_vpc.this.id

  tags = { Name = "drs-staging-area" }
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "drs-staging-area" }
}

resource "aws_route_table_association" "this" {
  route_table_id = aws_route_table.this.id
  subnet_id      = aws_subnet.this.id
}
